//go:build race

package chaostest

// Programs under the race detector start slowly, and it sees nothing here: they share no memory.
const underRace = true
