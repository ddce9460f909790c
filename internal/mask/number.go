package mask

// number looks at a word that begins with a digit, and returns where to go on.
func (s *scanner) number(i, end int, kinds uint8) int {
	text := s.text
	if kinds&word == digit && end < len(text) {
		n := end - i
		switch c := text[end]; {
		case c == ':' && n <= 2:
			if e := clock(text, i); e > 0 {
				return s.emit(i, zone(text, e), Time)
			}
		case c == '-' || c == '/' || c == ' ' && n <= 2:
			if e := date(text, i, end); e > 0 {
				return s.emit(dated(text, i, e))
			}
			if c == '-' && n <= 4 { // days-hours:minutes:seconds, as ps prints it
				if e := clock(text, end+1); e > 0 && e-end == len("-00:00:00") {
					return s.emit(i, e, Duration)
				}
			}
		case c == '.' && n <= 3:
			if e := ipv4(text, i); e > 0 {
				return s.port(s.emit(i, e, Address))
			}
		}
	}
	if e, k := quantity(text, i); e > 0 {
		return s.emit(i, e, k)
	}
	if kinds&letter != 0 {
		if e := compact(text, i, end); e > 0 {
			return s.emit(i, e, Time)
		}
		if end-i >= len("0x0000") && text[i] == '0' && text[i+1] == 'x' && allHex(text[i+2:end]) {
			return s.emit(i, end, Hash)
		}
	}
	// The rest of a number with points, such as a version, begins no other token.
	for is(text, end, '.') && isDigit(text, end+1) {
		for end++; isWord(text, end); {
			end++
		}
	}
	return end
}

func allHex(text []byte) bool {
	for i := range text {
		if !isHex(text, i) {
			return false
		}
	}
	return true
}

// compact returns the end of 20261129T120708Z at i, or 0.
func compact(text []byte, i, end int) int {
	n := end - i
	if n < len("20261129T120708") || n > len("20261129T120708Z") || text[i+8] != 'T' || text[i] != '2' && text[i] != '1' {
		return 0
	}
	if digits(text, i) != i+8 || digits(text, i+9) != i+15 || n == 16 && text[end-1] != 'Z' {
		return 0
	}
	return end
}

// two returns the value of two digits at i, or -1.
func two(text []byte, i int) int {
	if !isDigit(text, i) || !isDigit(text, i+1) {
		return -1
	}
	return int(text[i]-'0')*10 + int(text[i+1]-'0')
}

// within returns the value of one or two digits at i that are from low to high, and their
// end; or 0.
func within(text []byte, i, low, high int) (end int) {
	end = digits(text, i)
	value := 0
	switch end - i {
	case 1:
		value = int(text[i] - '0')
	case 2:
		value = two(text, i)
	default:
		return 0
	}
	if value < low || value > high {
		return 0
	}
	return end
}

// clock returns the end of a time of day at i, without its zone, or 0: 3:11, 13:37:02,123.
func clock(text []byte, i int) int {
	end := within(text, i, 0, 24)
	if end == 0 || !is(text, end, ':') || !sixty(text, end+1) {
		return 0
	}
	end += len(":00")
	if is(text, end, ':') && sixty(text, end+1) {
		end += len(":00")
		if (is(text, end, '.') || is(text, end, ',')) && isDigit(text, end+1) {
			if e := digits(text, end+1); e-end <= 10 {
				end = e
			}
		}
	}
	if is(text, end, ':') && isDigit(text, end+1) || isWord(text, end) && !is(text, end, 'Z') {
		return 0
	}
	return end
}

// sixty reports whether two digits up to 60, which a leap second is, are at i, and no third.
func sixty(text []byte, i int) bool {
	v := two(text, i)
	return v >= 0 && v <= 60 && !isDigit(text, i+2)
}

// zone returns the end of what may follow a time that ends at i: AM, Z, +01:00, CET, and a
// year, as date prints it.
func zone(text []byte, i int) int {
	if is(text, i, 'Z') && !isWord(text, i+1) {
		return i + 1
	}
	if e := offset(text, i); e > 0 {
		return e
	}
	if !is(text, i, ' ') {
		return i
	}
	if e := offset(text, i+1); e > 0 {
		return e
	}
	if e := letters(text, i+1); e > i+1 && isZone(text[i+1:e]) && !isWord(text, e) {
		i = e
		if !is(text, i, ' ') {
			return i
		}
		if e := letters(text, i+1); e > i+1 && isZone(text[i+1:e]) && !isWord(text, e) { // AM CET
			i = e
		}
	}
	if is(text, i, ' ') {
		if e := year(text, i+1); e > 0 {
			return e
		}
	}
	return i
}

// offset returns the end of +0100 or +01:00 at i, or 0.
func offset(text []byte, i int) int {
	if !is(text, i, '+') && !is(text, i, '-') || two(text, i+1) < 0 || two(text, i+1) > 14 {
		return 0
	}
	i += len("+01")
	if is(text, i, ':') {
		i++
	}
	if !sixty(text, i) || isWord(text, i+2) {
		return 0
	}
	return i + 2
}

func isZone(name []byte) bool {
	switch string(name) {
	case "AM", "PM", "am", "pm", "UTC", "GMT", "CET", "CEST", "WET", "WEST", "EET", "EEST", "MSK", "BST", "IST", "JST",
		"KST", "HKT", "SGT", "AEST", "AEDT", "NZST", "NZDT", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT":
		return true
	}
	return false
}

// letters returns the end of the letters at i.
func letters(text []byte, i int) int {
	for i < len(text) && class[text[i]]&(hex|letter) != 0 {
		i++
	}
	return i
}

// year returns the end of a year from 1900 to 2199 at i, or 0.
func year(text []byte, i int) int {
	end := digits(text, i)
	if end-i != 4 || isWord(text, end) {
		return 0
	}
	if c := two(text, i); c < 19 || c > 21 {
		return 0
	}
	return end
}

// date returns the end of the date at i, whose first number ends at end, or 0.
func date(text []byte, i, end int) int {
	sep := text[end]
	if end-i == 4 && sep != ' ' { // 2026-11-29
		if year(text, i) == 0 {
			return 0
		}
		month := within(text, end+1, 1, 12)
		if month == 0 || !is(text, month, sep) {
			return 0
		}
		day := within(text, month+1, 1, 31)
		if day == 0 || isWord(text, day) && !is(text, day, 'T') || is(text, day, sep) && isDigit(text, day+1) {
			return 0
		}
		return day
	}
	if within(text, i, 1, 31) == 0 {
		return 0
	}
	at := end + 1
	middle := letters(text, at)
	switch {
	case middle > at: // 29/Nov/2026, 29 Nov 2026
		if !isMonth(text[at:middle]) || !is(text, middle, sep) {
			return 0
		}
		return year(text, middle+1)
	case sep == ' ':
		return 0
	}
	middle = within(text, at, 1, 31) // 11/29/2026
	if middle == 0 || !is(text, middle, sep) {
		return 0
	}
	if e := year(text, middle+1); e > 0 {
		return e
	}
	return 0
}

// dated adds to a date the time that follows it.
func dated(text []byte, start, end int) (int, int, Kind) {
	at := end
	switch {
	case is(text, at, 'T'), is(text, at, ':'), is(text, at, '_'):
		at++
	default:
		if is(text, at, ',') {
			at++
		}
		blanks := at
		for is(text, at, ' ') && at < blanks+2 {
			at++
		}
		if at == blanks {
			return start, end, Date
		}
	}
	if e := clock(text, at); e > 0 {
		return start, zone(text, e), Time
	}
	return start, end, Date
}

// namedDate returns the end of a date that begins with the word from i to end, the name of
// a month or of a day; or 0.
func namedDate(text []byte, i, end int) (int, Kind) {
	switch name := text[i:end]; {
	case isMonth(name): // Nov 29 12:07:08, November 29, 2026
		at := end
		for is(text, at, ' ') && at < end+2 {
			at++
		}
		day := within(text, at, 1, 31)
		if at == end || day == 0 || isWord(text, day) {
			return 0, 0
		}
		e := day
		if is(text, e, ',') {
			e++
		}
		if is(text, e, ' ') {
			if y := year(text, e+1); y > 0 {
				day = y
			}
		}
		_, e, k := dated(text, i, day)
		return e, k
	case isDay(name): // Sun Nov 29 …, Sun, 29 Nov 2026 …, Sun 2026-11-29 …
		at := end
		if is(text, at, ',') {
			at++
		}
		if !is(text, at, ' ') {
			return 0, 0
		}
		at++
		if e := letters(text, at); e > at && isMonth(text[at:e]) {
			return namedDate(text, at, e)
		}
		if e := digits(text, at); e > at && e < len(text) {
			if e := date(text, at, e); e > 0 {
				_, e, k := dated(text, at, e)
				return e, k
			}
		}
	}
	return 0, 0
}

func isMonth(name []byte) bool {
	switch string(name) {
	case "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
		"January", "February", "March", "April", "June", "July", "August", "September", "October", "November", "December":
		return true
	}
	return false
}

func isDay(name []byte) bool {
	switch string(name) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun",
		"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday":
		return true
	}
	return false
}

// quantity returns the end of a number with a unit at i, and its kind; or 0. A duration may
// have several, each smaller than the one before: 1h2m3s, 1 min 05 s.
func quantity(text []byte, i int) (int, Kind) {
	end, unit := part(text, i)
	if end == 0 {
		return 0, 0
	}
	k := Size
	if unit > 0 {
		k = Duration
	}
	for unit > 0 {
		at := end
		if is(text, at, ' ') {
			at++
		}
		if !isDigit(text, at) {
			break
		}
		next, smaller := part(text, at)
		if smaller == 0 || smaller >= unit || isWord(text, next) && !isDigit(text, next) {
			break
		}
		end, unit = next, smaller
	}
	if isWord(text, end) {
		return 0, 0
	}
	return end, k
}

// part returns the end of one number with a unit at i, or 0, and the rank of the unit if it
// is one of time.
func part(text []byte, i int) (end, rank int) {
	end = digits(text, i)
	if is(text, end, '.') && isDigit(text, end+1) {
		end = digits(text, end+1)
		if is(text, end, '.') && isDigit(text, end+1) { // a version
			return 0, 0
		}
	}
	at, blank := end, false
	if is(text, at, ' ') {
		at, blank = at+1, true
	}
	end = at
	if is(text, end, 0xc2) && is(text, end+1, 0xb5) { // µs
		end += 2
	}
	end = letters(text, end)
	if end == at || end-at > len("seconds") {
		return 0, 0
	}
	if isSizeUnit(text[at:end], blank) {
		return end, 0
	}
	if rank = timeUnit(text[at:end], blank); rank == 0 {
		return 0, 0
	}
	return end, rank
}

// timeUnit returns the rank of a unit of time, from the smallest, 1; or 0. Behind a blank
// some letters mean something else too often.
func timeUnit(name []byte, blank bool) int {
	switch string(name) {
	case "ns":
		return 1
	case "us", "µs":
		return 2
	case "ms":
		return 3
	case "s", "sec", "secs", "second", "seconds":
		return 4
	case "min", "mins", "minute", "minutes":
		return 5
	case "h", "hr", "hrs", "hour", "hours":
		return 6
	case "day", "days":
		return 7
	case "week", "weeks":
		return 8
	case "month", "months":
		return 9
	case "year", "years":
		return 10
	}
	if len(name) != 1 || blank {
		return 0
	}
	switch name[0] {
	case 'm':
		return 5
	case 'd':
		return 7
	case 'w':
		return 8
	case 'y':
		return 10
	}
	return 0
}

// isSizeUnit reports whether name is a unit of bytes.
func isSizeUnit(name []byte, blank bool) bool {
	switch string(name) {
	case "B", "kB", "KB", "MB", "GB", "TB", "PB", "KiB", "MiB", "GiB", "TiB", "PiB", "byte", "bytes", "Bytes":
		return true
	case "k", "K", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi":
		return !blank
	}
	return false
}
