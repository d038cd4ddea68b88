// Included before every file of QuickJS: its limit of the stack.
//
// QuickJS has no limit of the stack where __wasi__ is defined, so a recursion without end would be a trap, which names no line
// of the author. Nothing but the headers of the C library needs that name, and they are included here.
#include <alloca.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#undef __wasi__
// One of the systems whose malloc_usable_size it uses. It means nothing else there.
#define __GLIBC__ 1
