package main

import (
	"regexp"
	"strings"
)

// phrases are what a licence says and no other does, in lower case with single blanks. Licences that are known
// here and not allowed are named in the error in place of being unknown.
var phrases = []struct{ id, text string }{
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files"},
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
	{"MPL-2.0", "mozilla public license version 2.0 1. definitions"},
	{"MPL-2.0", "mozilla public license, version 2.0 1. definitions"},
	{"OFL-1.1", "sil open font license version 1.1"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
	{"CC0-1.0", "cc0 1.0 universal"},
	{"blessing", "sqlite is public domain all of the code and documentation in sqlite has been dedicated to the public domain by the authors"},
	{"CC-BY-4.0", "creative commons attribution 4.0"},
	{"GPL-2.0", "gnu general public license version 2, june 1991"},
	{"GPL-3.0", "gnu general public license version 3, 29 june 2007"},
	{"LGPL-2.1", "gnu lesser general public license version 2.1, february 1999"},
	{"LGPL-3.0", "gnu lesser general public license version 3, 29 june 2007"},
	{"AGPL-3.0", "gnu affero general public license version 3, 19 november 2007"},
	{"BUSL-1.1", "business source license 1.1"},
	{"SSPL-1.0", "server side public license version 1"},
	{"EPL-2.0", "eclipse public license - v 2.0"},
	{"CC-BY-SA-4.0", "attribution-sharealike 4.0 international"},
}

const (
	bsd      = "redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met"
	bsdThird = "endorse or promote products derived from this software without specific"
)

// marks are what is drawn around lines of a text.
var marks = regexp.MustCompile(`[\s*#/"'“”>=-]+`)

// recognise returns the licences whose phrases a text has.
func recognise(text []byte) (ids []string) {
	plain := func(s string) string { return strings.TrimSpace(marks.ReplaceAllString(strings.ToLower(s), " ")) }
	said := plain(string(text))
	for _, p := range phrases {
		if strings.Contains(said, plain(p.text)) {
			ids = append(ids, p.id)
		}
	}
	switch {
	case !strings.Contains(said, plain(bsd)):
	case strings.Contains(said, plain(bsdThird)):
		ids = append(ids, "BSD-3-Clause")
	default:
		ids = append(ids, "BSD-2-Clause")
	}
	return ids
}
