// Package internal/bench measures how long the same command takes on N targets by several
// strategies, and keeps every raw figure. Fill [Options] and range over [Run];
// package raw keeps what comes, and reads it again.
// [StartFleet] gives simulated targets that need no server.
//
// # What is promised
//
// Every strategy goes through shoal.Run and differs from the others in its
// fanout, its dials and its starts per host only, so that the same code is
// measured. What is told of CPU, memory and open files is this process's alone:
// the simulated fleet is a process of its own and ends with this one, however
// this one ends. Strategies take turns at each size, so that drift of the
// machine hits all of them alike. A point that was cut by its time limit says so,
// and no point is invented for what was not run.
//
// # What it will not do
//
// It draws no conclusion: medians, trends and projections are made by who reads
// the records. It does not pin processors or change how the machine is set up.
package bench
