package main

import "shoal/internal/bench/program"

func main() { program.Main("peers", parseSettings, compare) }
