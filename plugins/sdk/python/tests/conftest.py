import sys

# The sources are embedded into sigbox as they lie there. Compiled files among them would make another interpreter.
sys.dont_write_bytecode = True
