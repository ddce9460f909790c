package mask

// The classes of bytes.
const (
	digit   = 1 << iota // 0-9
	hex                 // a-f, A-F
	letter              // the other letters
	other               // _ and bytes of UTF-8 beyond ASCII
	special             // begins a token though it is no part of a word: [ : *
	keyword             // begins a keyword: the name of a month or day, pid, port, …

	word = digit | hex | letter | other
)

var class = func() (c [256]uint8) {
	for b := range c {
		switch {
		case '0' <= b && b <= '9':
			c[b] = digit
		case 'a' <= b && b <= 'f', 'A' <= b && b <= 'F':
			c[b] = hex
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z':
			c[b] = letter
		case b == '_', b >= 0x80:
			c[b] = other
		}
	}
	for _, b := range "[:*" {
		c[b] |= special
	}
	for _, b := range "JFMASONDTWpPtbslS" {
		c[b] |= keyword
	}
	return c
}()

func isWord(text []byte, i int) bool { return i < len(text) && class[text[i]]&word != 0 }

func isDigit(text []byte, i int) bool { return i < len(text) && class[text[i]]&digit != 0 }

func isHex(text []byte, i int) bool { return i < len(text) && class[text[i]]&(digit|hex) != 0 }

func is(text []byte, i int, c byte) bool { return i < len(text) && text[i] == c }

// A scanner finds the tokens of one text. Tokens begin at the beginning of a word, which is
// what digits, letters, _ and bytes beyond ASCII make.
type scanner struct {
	text   []byte
	own    Own
	kinds  Set
	tokens []Token
}

func (s *scanner) emit(start, end int, k Kind) int {
	if s.kinds.Has(k) {
		s.tokens = append(s.tokens, Token{start, end, k})
	}
	return end
}

func (s *scanner) scan() {
	text := s.text
	for i := 0; i < len(text); {
		c := class[text[i]]
		if c == 0 {
			i++
			continue
		}
		if c&special != 0 {
			i = s.special(i)
			continue
		}
		kinds, end := c, i+1
		for end < len(text) {
			c := class[text[end]]
			if c&word == 0 {
				break
			}
			kinds |= c
			end++
		}
		if lower(text[i]) == s.own.first && s.own.first != 0 {
			if e := s.own.at(text, i); e > 0 {
				i = s.port(s.emit(i, e, Host))
				continue
			}
		}
		if kinds&(letter|other) == 0 {
			if e := s.hexadecimal(i, end, kinds); e > 0 {
				i = e
				continue
			}
		}
		switch {
		case c&digit != 0:
			i = s.number(i, end, kinds)
		case c&keyword != 0:
			i = s.keyword(i, end)
		default:
			i = end
		}
	}
}

// special looks at [ : and *, and returns where to go on.
func (s *scanner) special(i int) int {
	text := s.text
	switch text[i] {
	case '[': // sshd[123]
		if i > 0 && isWord(text, i-1) {
			if end := digits(text, i+1); end > i+1 && is(text, end, ']') && endsPID(text, end+1) {
				return s.emit(i+1, end, PID)
			}
		}
	case ':': // ::1
		if i > 0 && text[i-1] == '[' && is(text, i+1, ':') && is(text, i+2, ']') {
			return s.port(s.emit(i, i+2, Address))
		}
		if is(text, i+1, ':') && (i == 0 || !isWord(text, i-1) && text[i-1] != ':') {
			if end := ipv6(text, i); end > 0 {
				return s.port(s.emit(i, end, Address))
			}
		}
	case '*': // *:22
		return s.port(i + 1)
	}
	return i + 1
}

// endsPID reports whether what is at i may follow sshd[123].
func endsPID(text []byte, i int) bool {
	return i >= len(text) || text[i] == ':' || text[i] == ' ' || text[i] == '\n'
}

// port finds :22 or ]:22 at i, behind an address or a name, and returns where to go on.
func (s *scanner) port(i int) int {
	at := i
	if is(s.text, at, ']') {
		at++
	}
	if !is(s.text, at, ':') {
		return i
	}
	end := digits(s.text, at+1)
	if n := end - at - 1; n < 1 || n > 5 || isWord(s.text, end) || is(s.text, end, ':') {
		return i
	}
	return s.emit(at+1, end, Port)
}

// digits returns the end of the digits at i.
func digits(text []byte, i int) int {
	for i < len(text) && class[text[i]]&digit != 0 {
		i++
	}
	return i
}

// hexadecimal looks at a word of hexadecimal digits, and what begins with one. It returns 0
// if that is no token.
func (s *scanner) hexadecimal(i, end int, kinds uint8) int {
	text, n := s.text, end-i
	if end < len(text) && !joined(text, i) {
		switch c := text[end]; {
		case n == 8 && c == '-':
			if e := uuid(text, i); e > 0 {
				return s.emit(i, e, UUID)
			}
		case n == 2 && (c == ':' || c == '-'):
			if e := mac(text, i); e > 0 {
				return s.emit(i, e, Address)
			}
		}
		if n <= 4 && text[end] == ':' {
			if e := ipv6(text, i); e > 0 {
				return s.port(s.emit(i, e, Address))
			}
		}
	}
	if n >= minHash && kinds&digit != 0 && kinds&hex != 0 && oneCase(text[i:end]) || digestSize(n) {
		return s.emit(i, end, Hash)
	}
	return 0
}

// minHash is the length of git's short hashes.
const minHash = 7

// digestSize reports whether n is the number of hexadecimal digits of a usual digest, which
// may by chance have no letter.
func digestSize(n int) bool { return n == 32 || n == 40 || n == 56 || n == 64 || n == 96 || n == 128 }

// oneCase reports whether all letters are lower case, or upper case in what is too long for
// the name of an algorithm, such as ED25519.
func oneCase(text []byte) bool {
	var upper, lower bool
	for _, c := range text {
		upper = upper || 'A' <= c && c <= 'F'
		lower = lower || 'a' <= c && c <= 'f'
	}
	return !upper || !lower && len(text) >= 12
}

// joined reports whether colons and a word of hexadecimal digits are before i: then it is
// amid something that is no address as a whole.
func joined(text []byte, i int) bool {
	at := i
	for at > 0 && i-at < 3 && text[at-1] == ':' {
		at--
	}
	if at == i {
		return false
	}
	end := at
	for at > 0 && end-at <= 4 && isHex(text, at-1) {
		at--
	}
	return at < end && (at == 0 || class[text[at-1]]&word == 0)
}

// uuid returns the end of the UUID at i, or 0.
func uuid(text []byte, i int) int {
	for group, n := range [...]int{8, 4, 4, 4, 12} {
		if group > 0 {
			if !is(text, i, '-') {
				return 0
			}
			i++
		}
		for range n {
			if !isHex(text, i) {
				return 0
			}
			i++
		}
	}
	if isWord(text, i) {
		return 0
	}
	return i
}

// mac returns the end of the MAC address at i, or 0.
func mac(text []byte, i int) int {
	sep := text[i+2]
	for group := range 6 {
		if group > 0 {
			if !is(text, i, sep) {
				return 0
			}
			i++
		}
		if !isHex(text, i) || !isHex(text, i+1) {
			return 0
		}
		i += 2
	}
	if isWord(text, i) || is(text, i, sep) && isHex(text, i+1) {
		return 0
	}
	return i
}

// ipv4 returns the end of the IPv4 address at i, or 0.
func ipv4(text []byte, i int) int {
	for part := range 4 {
		if part > 0 {
			if !is(text, i, '.') {
				return 0
			}
			i++
		}
		end := digits(text, i)
		if n := end - i; n < 1 || n > 3 || n == 3 && string(text[i:end]) > "255" {
			return 0
		}
		i = end
	}
	if isWord(text, i) || is(text, i, '.') && isDigit(text, i+1) {
		return 0
	}
	return i
}

// ipv6 returns the end of the IPv6 address at i (RFC 4291 §2.2), with its zone, or 0.
func ipv6(text []byte, i int) int {
	groups, gap := 0, false
	if is(text, i, ':') {
		gap = true
		i += 2
	}
groups:
	for groups < 8 && isHex(text, i) {
		end := i
		for isHex(text, end) && end-i <= 4 {
			end++
		}
		if end-i > 4 {
			return 0
		}
		if is(text, end, '.') && isDigit(text, end+1) && (groups == 6 || gap && groups < 6) {
			end = ipv4(text, i)
			if end == 0 {
				return 0
			}
			groups, i = groups+2, end
			break
		}
		groups++
		i = end
		switch {
		case !is(text, i, ':'):
			break groups
		case is(text, i+1, ':') && !gap:
			gap = true
			i += 2
		case isHex(text, i+1) && groups < 8:
			i++
		default: // a colon behind the address
			break groups
		}
	}
	if gap && (groups == 0 || groups > 7) || !gap && groups != 8 {
		return 0
	}
	if is(text, i, '%') {
		for i++; isWord(text, i); {
			i++
		}
	}
	if isWord(text, i) || is(text, i, ':') && (isHex(text, i+1) || is(text, i+1, ':')) {
		return 0
	}
	return i
}

// keyword looks at a word that may be a keyword, and returns where to go on.
func (s *scanner) keyword(i, end int) int {
	text := s.text
	var k Kind
	switch n := end - i; {
	case n < 3 || n > 9:
		return end
	case 'A' <= text[i] && text[i] <= 'Z':
		if e, k := namedDate(text, i, end); e > 0 {
			return s.emit(i, e, k)
		}
	}
	switch string(text[i:end]) {
	case "pid", "PID", "Pid", "ppid", "PPID", "tid", "process", "Process":
		k = PID
	case "port", "Port", "PORT", "ports":
		k = Port
	case "bytes":
		k = Size
	case "localhost":
		return s.port(end)
	case "SHA256":
		if is(text, end, ':') {
			e := end + 1
			for isWord(text, e) || is(text, e, '+') || is(text, e, '/') {
				e++
			}
			if e-end > 40 {
				return s.emit(i, e, Hash)
			}
		}
		return end
	default:
		return end
	}
	at := end
	for at < len(text) && at < end+3 && separates(text[at]) {
		at++
	}
	if e := digits(text, at); at > end && e > at && !isWord(text, e) && !is(text, e, '.') && !is(text, e, ':') {
		return s.emit(at, e, k)
	}
	return end
}

// separates reports whether c may stand between a keyword and its number.
func separates(c byte) bool {
	switch c {
	case ' ', '\t', '=', ':', '#', '"', '\'', '(':
		return true
	}
	return false
}
