package ui

import (
	"fmt"
	"strconv"
	"time"
)

// Count formats n with a comma between thousands: 9,988.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	text := make([]byte, 0, len(digits)+len(digits)/3)
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			text = append(text, ',')
		}
		text = append(text, digits[i])
	}
	return sign + string(text)
}

// CountOf formats n with its noun: 1 host, 9,988 hosts.
func CountOf(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return Count(int64(n)) + " " + many
}

// Bytes formats a size with a binary unit: 812 B, 1.5 KiB, 16 MiB. The value has at least
// two significant digits.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefixes := float64(n)/unit, "KMGTPE"
	// 1023.95 would be written as 1024.
	for value >= unit-0.5 {
		value /= unit
		prefixes = prefixes[1:]
	}
	digits := 0
	if value < 9.95 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %ciB", digits, value, prefixes[0])
}

// Duration formats a time span for people: 0.41 s, 12.3 s, 1 min 05 s, 2 h 03 min. A
// negative one is formatted as 0.
func Duration(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 995*time.Millisecond:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour-time.Second/2:
		s := int(d.Round(time.Second).Seconds())
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	}
	m := int(d.Round(time.Minute).Minutes())
	return fmt.Sprintf("%d h %02d min", m/60, m%60)
}
