package web

import (
	"crypto/subtle"
	"html"
	"net/http"
	"strings"

	"shoal/internal/hint"
	"shoal/internal/ui"
)

// policy lets a page load nothing but our own scripts, styles and data, and no script make
// markup of a string.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guard lets requests pass that come from a page of ours, or with the token.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 0) // nothing reads one
		switch {
		case !s.hosts[r.Host]:
			// The name of another site may lead here (DNS rebinding): for the browser, its
			// pages and ours are then of one origin.
			refuse(w, http.StatusMisdirectedRequest, "this is not the address that shoal web has printed")
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			refuse(w, http.StatusMethodNotAllowed, "nothing can be changed here")
		case r.URL.Query().Has("token"):
			s.exchange(w, r)
		case !s.ours(r):
			refuse(w, http.StatusForbidden, "open the address that shoal web has printed")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ours reports whether a request has the cookie and was made by a person or a page of ours.
// Pages on other ports of this machine are of the same site, for which SameSite does not hold.
func (s *Server) ours(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return false
	}
	cookie, err := r.Cookie(s.cookie)
	return err == nil && equal(cookie.Value, s.session)
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// exchange gives the cookie for the token, and leads to the address without it. It is no
// redirect: the browser would not send a strict cookie if a page of another site led here.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	if !equal(r.URL.Query().Get("token"), s.token) {
		refuse(w, http.StatusForbidden, "the token is not that of this shoal web: open the address that it has printed")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: s.cookie, Value: s.session, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	to := "/" + strings.TrimLeft(r.URL.EscapedPath(), "/") // no other host
	page(w, `<meta http-equiv="refresh" content="0;url=`+html.EscapeString(to)+`">`, "")
}

// refuse answers with a text for people, and closes the connection: others on this machine
// must not keep those that there are.
func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Connection", "close")
	http.Error(w, text, status)
}

// fail answers with an error.
func fail(w http.ResponseWriter, status int, err error) {
	text, advice := hint.Split(err.Error())
	if advice != "" {
		text += " (" + advice + ")"
	}
	refuse(w, status, ui.Visible(text))
}

// page answers with a page of ours. Both parts must be markup.
func page(w http.ResponseWriter, head, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(`<!doctype html><html lang="en"><head><meta charset="utf-8">` + // the client is gone
		`<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><title>shoal</title>` + head + "</head>" + body + "</html>\n"))
}
