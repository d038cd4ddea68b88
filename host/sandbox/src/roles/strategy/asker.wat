;; Asks a strategy about one minute after the other until it has an answer. `join.rs` puts this module into a strategy's
;; component. The module has its own memory, which the strategy cannot read, so a strategy sees no minute early. Its name
;; is left out of backtraces.
(module $sigbox-asker
  ;; Begins a question at a time in milliseconds. False: the question before it was answered, and no more is asked.
  (import "host" "begin-question" (func $begin (param i64) (result i32)))
  (import "guest" "get-signal" (func $get_signal (param i64 f64 f64 f64 f64 f64 f64)))

  (memory (export "memory") 1)

  ;; The host copies one row of questions into the memory for each call, always to the same place.
  (func (export "realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 8)

  ;; A question is seven numbers: time, average price, open, high, low, close, volume. `count` is that of the numbers.
  (func $ask (export "ask") (param $at i32) (param $count i32)
    (local $end i32) (local $when i64)
    (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 3))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $when (i64.trunc_f64_s (f64.load (local.get $at))))
        (br_if $done (i32.eqz (call $begin (local.get $when))))
        (call $get_signal
          (local.get $when)
          (f64.load offset=8 (local.get $at))
          (f64.load offset=16 (local.get $at))
          (f64.load offset=24 (local.get $at))
          (f64.load offset=32 (local.get $at))
          (f64.load offset=40 (local.get $at))
          (f64.load offset=48 (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 56)))
        (br $next)))))
