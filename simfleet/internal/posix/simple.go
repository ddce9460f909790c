package posix

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// plain are the characters of words that mean nothing but themselves.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:,+@%-"

// simpleCommand parses a simple command of plain words and texts between single quotes; nil means that the text is
// something else, or wrong. A long text is found to be one word without a look at each of its characters, which
// for many hosts' command lines, no two of them equal, is much of the work.
func simpleCommand(src string) *syntax.Stmt {
	var words []*syntax.Word
	for src = strings.TrimLeft(src, " "); src != ""; src = strings.TrimLeft(src, " ") {
		w := new(syntax.Word)
		for src != "" && src[0] != ' ' {
			if text, ok := strings.CutPrefix(src, "'"); ok {
				end := strings.IndexByte(text, '\'')
				if end < 0 || strings.IndexByte(text[:end], '\r') >= 0 { // which the parser drops in CR LF
					return nil
				}
				w.Parts = append(w.Parts, &syntax.SglQuoted{Value: latin1(text[:end])})
				src = text[end+1:]
				continue
			}
			n := len(src) - len(strings.TrimLeft(src, plain))
			if n == 0 {
				return nil
			}
			w.Parts = append(w.Parts, &syntax.Lit{Value: src[:n]})
			src = src[n:]
		}
		words = append(words, w)
	}
	if len(words) == 0 || syntax.IsKeyword(words[0].Lit()) {
		return nil
	}
	return &syntax.Stmt{Cmd: &syntax.CallExpr{Args: words}}
}
