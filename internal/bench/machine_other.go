//go:build !linux

package bench

func systemFacts() (kernel, cpu string, memory int64) { return "", "", 0 }
