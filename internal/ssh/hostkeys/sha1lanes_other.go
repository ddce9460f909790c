//go:build !amd64

package hostkeys

// A laneFilter without vector instructions passes all lines; they are tested one by one.
type laneFilter struct{}

func (*laneFilter) set(int, hashedName) {}

func (*laneFilter) candidates(*laneQuery) uint32 { return 1<<lanes - 1 }

type laneQuery struct{}

func (*laneQuery) set(string) {}
