package bench

// ReferenceCommand is the command of the reference experiment: 200 connections
// to one server, each printing a line of its own.
const ReferenceCommand = "echo hello world {index}"
