package web

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/url"
	"strconv"

	"shoal/internal/report"
)

//go:embed history.js
var historyScript string

//go:embed history.css
var historyStyle string

// handler returns what answers requests.
func (s *Server) handler() http.Handler {
	before, script, css := report.Assets()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { shell(w, "history", "") })
	mux.HandleFunc("GET /run/{run}", func(w http.ResponseWriter, r *http.Request) {
		shell(w, "run", "/run/"+url.PathEscape(r.PathValue("run")))
	})
	mux.HandleFunc("GET /run.js", asset("text/javascript", before+script))
	mux.HandleFunc("GET /history.js", asset("text/javascript", before+historyScript))
	mux.HandleFunc("GET /style.css", asset("text/css", css+historyStyle))
	mux.HandleFunc("GET /runs", s.runs)
	mux.HandleFunc("GET /events", s.historyEvents)
	mux.HandleFunc("GET /run/{run}/data", s.data)
	mux.HandleFunc("GET /run/{run}/texts", s.texts)
	mux.HandleFunc("GET /run/{run}/host", s.host)
	mux.HandleFunc("GET /run/{run}/events", s.runEvents)
	return s.guard(mux)
}

// shell answers with a page that a script fills.
func shell(w http.ResponseWriter, name, base string) {
	data := ""
	if base != "" {
		data = ` data-run="` + html.EscapeString(base) + `"`
	}
	page(w, `<link rel="stylesheet" href="/style.css"><script src="/`+name+`.js" defer></script>`,
		"<body"+data+`><noscript>This page needs JavaScript. shoal history and shoal report show the same in a terminal.</noscript><main id="main"></main></body>`)
}

func asset(kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind+"; charset=utf-8")
		_, _ = w.Write([]byte(text)) // the client is gone
	}
}

// answer answers with JSON, or with an error.
func answer(w http.ResponseWriter, v any, err error) {
	var b bytes.Buffer
	if err == nil {
		z := gzip.NewWriter(&b)
		err = errors.Join(json.NewEncoder(z).Encode(v), z.Close())
	}
	switch {
	case errors.Is(err, ErrNotFound):
		fail(w, http.StatusNotFound, err)
	case err != nil:
		fail(w, http.StatusInternalServerError, err)
	default:
		packed(w, b.Bytes())
	}
}

// packed answers with compressed JSON.
func packed(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip") // every browser takes it
	_, _ = w.Write(data)                       // the client is gone
}

func (s *Server) runs(w http.ResponseWriter, r *http.Request) {
	runs, err := s.source.Runs(r.Context(), r.URL.Query())
	answer(w, runs, err)
}

func (s *Server) data(w http.ResponseWriter, r *http.Request) {
	e, err := s.cache.newest(r.Context(), s.source, r.PathValue("run"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	packed(w, e.Data)
}

func (s *Server) texts(w http.ResponseWriter, r *http.Request) {
	e := s.cache.version(r.PathValue("run"), r.FormValue("v"))
	if e == nil {
		refuse(w, http.StatusGone, "these texts are no longer kept: load the page again")
		return
	}
	packed(w, e.Texts)
}

// host answers with the error and the output of a target, for a watch with its last answer and how
// that changed, each null or a text and the number of bytes that are left out.
func (s *Server) host(w http.ResponseWriter, r *http.Request) {
	index, err := strconv.Atoi(r.FormValue("index"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "index is not a number")
		return
	}
	one, err := s.source.Host(r.Context(), r.PathValue("run"), index)
	var texts struct{ Error, Output, Answer, Diff any }
	if err == nil && len(one.Hosts) == 1 {
		text := func(at int) any {
			if at < 0 {
				return nil
			}
			return []any{one.Texts[at].Text, one.Texts[at].Left}
		}
		h := &one.Hosts[0]
		texts.Error, texts.Output, texts.Answer, texts.Diff = text(h.Error), text(h.Text), text(h.Answer), text(h.Diff)
	}
	answer(w, texts, err)
}
