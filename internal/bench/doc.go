// Package bench measures how long shoal takes to run a command on N targets
// with several strategies, and returns all raw figures. Fill [Options] and
// range over [Run]; package benchrecord writes and reads the records.
// [StartFleet] starts simulated targets that need no server.
//
// # What is promised
//
// Every strategy goes through shoal.Run and differs only in fanout, dials and
// starts per host, so that the same code is measured. CPU, memory and open
// files are those of this process alone: the simulated fleet is a separate
// process, and exits when this one does. Strategies take turns at each size, so
// that drift of the machine affects all of them equally. A point that reached
// its time limit says so, and sizes that were not run have no point.
//
// # What it does not do
//
// It draws no conclusions: medians, trends and projections are made by package
// report. It does not pin processors or change how the machine is configured.
package bench
