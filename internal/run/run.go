// Package run is the life of a run: it begins or resumes it in the journal,
// records what happens, and later asks the hosts what became of it.
package run
