// Package benchrecord reads and writes the records of shoal-bench: versioned
// JSON lines, one header and then one point for each measurement. [WriteHeader]
// and [WritePoint] write them, [Read] reads them.
//
// It neither measures nor analyses, so that records can be read without the
// code that made them.
package benchrecord
