// Package benchrecord is what shoal-bench keeps: one header, then one point for each
// measurement, as versioned JSON lines. [WriteHeader] and [WritePoint] write
// them, [Read] reads them again.
//
// Nothing here measures and nothing concludes, so that figures can be read, and
// drawn, without what took them.
package benchrecord
