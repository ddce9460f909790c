package bench

// ReferenceCommand is the command of the experiment that shoal answers: 200
// connections to one server, each printing a line of its own.
const ReferenceCommand = "echo hello world {index}"
