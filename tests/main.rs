//! sigbox as its users meet it. Each module is a subject.

mod vectors;
