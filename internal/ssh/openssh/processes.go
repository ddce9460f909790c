package openssh

// ProcessMemory is what one process of ssh takes, in bytes: 9 MB of OpenSSH 9.2 are resident,
// most of them shared with the other processes, and each has 2 to 4 MB of its own.
const ProcessMemory = 10 << 20

// Processes returns how many processes of ssh this machine can run at once: as many as take half
// of the memory that is free now, at least 4 and at most 1,000; 100 if that is not known.
func Processes() int {
	if free := available(); free > 0 {
		return int(min(max(free/2/ProcessMemory, 4), 1000))
	}
	return 100
}
