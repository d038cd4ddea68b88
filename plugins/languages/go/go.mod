module sma-cross

go 1.24
