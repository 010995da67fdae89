// Package instructions counts the machine instructions that a piece of code
// takes, so that a test can hold it to a recorded figure: unlike a time, the
// count is the same whatever else a machine does. Only tests use it.
//
// Virtual machines and containers have no hardware counters for it, so the test
// runs itself a second time and steps through that process, instruction by
// instruction (ptrace(2)). Its garbage collector is off, it has one processor,
// the optional features of the CPU are off (memmove and the hash of maps use
// them), and all of its threads but one stand still. So one thread runs every
// goroutine, in an order that does not depend on time. What the kernel does is
// not counted, nor is its clock in user space, the vDSO.
package instructions
