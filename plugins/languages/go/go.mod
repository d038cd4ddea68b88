module sma-cross

go 1.24

require sigbox v0.0.0

replace sigbox => ../../sdk/go
