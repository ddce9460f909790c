package journal

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Settings are the directory, flags and files with which a run was requested. shoal resume
// and shoal rerun need them. They contain paths and digests of files, and
// the values of --env and -o SetEnv, but no key and no password.
type Settings struct {
	// Directory is the working directory; relative paths in Flags refer to it.
	Directory string
	// Flags are the values of the flags that were set, by name.
	Flags map[string][]string
	// Files are the files that decided which targets the run had and how it reached them.
	Files []File
	// NotCommands means that the targets' commands are not command lines, such as paths to
	// copy to; RunInfo.Options say what they are. Programs that know settings 1 only, and
	// would run them, refuse the run.
	NotCommands bool
}

// A File is a file that a run read.
type File struct {
	Kind FileKind
	Path string
	// Digest is the SHA-256 of the content in hexadecimal; for a key file it is the
	// fingerprint of the public key as ssh-keygen -l prints it. "" means unknown.
	Digest string
}

// FileKind is the purpose of a File. The strings are part of the schema.
type FileKind string

// The kinds of files.
const (
	FileConfig    FileKind = "ssh_config"
	FileInventory FileKind = "inventory"
	FileIdentity  FileKind = "key file"
)

// The version is stored with the settings: in a later one the names may have other
// meanings, and a program refuses a run with settings newer than those it knows.
const (
	settingsCommands    = 1
	settingsNotCommands = 2 // the same, with NotCommands
	settingsVersion     = settingsNotCommands
)

type settingsJSON struct {
	Version   int               `json:"version"`
	Directory text              `json:"directory,omitempty"`
	Flags     map[string][]text `json:"flags,omitempty"`
	Files     []fileJSON        `json:"files,omitempty"`
}

type fileJSON struct {
	Kind   FileKind `json:"kind"`
	Path   text     `json:"path"`
	Digest string   `json:"digest,omitempty"`
}

// A text is stored as a JSON string or, if it is not valid UTF-8 (a path need not be), as
// an array with its bytes in base64.
type text string

// MarshalJSON implements json.Marshaler.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal([][]byte{[]byte(t)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var one [1][]byte
	err := json.Unmarshal(b, &one)
	*t = text(one[0])
	return err
}

// encode returns the value of the column; nil for nil Settings.
func (s *Settings) encode() (any, error) {
	if s == nil {
		return nil, nil
	}
	j := settingsJSON{Version: settingsCommands, Directory: text(s.Directory), Flags: make(map[string][]text, len(s.Flags))}
	if s.NotCommands {
		j.Version = settingsNotCommands
	}
	for name, values := range s.Flags {
		for _, v := range values {
			j.Flags[name] = append(j.Flags[name], text(v))
		}
	}
	for _, f := range s.Files {
		j.Files = append(j.Files, fileJSON{f.Kind, text(f.Path), f.Digest})
	}
	b, err := json.Marshal(j)
	return string(b), err
}

func decodeSettings(column string) (*Settings, error) {
	var j settingsJSON
	err := json.Unmarshal([]byte(column), &j)
	switch {
	case j.Version > settingsVersion:
		return nil, fmt.Errorf("%w: settings %d, and %d are the newest known here", ErrNewer, j.Version, settingsVersion)
	case err != nil:
		return nil, fmt.Errorf("%w: the settings of a run: %w", ErrDamaged, err)
	}
	s := &Settings{Directory: string(j.Directory), Flags: make(map[string][]string, len(j.Flags)), NotCommands: j.Version == settingsNotCommands}
	for name, values := range j.Flags {
		for _, v := range values {
			s.Flags[name] = append(s.Flags[name], string(v))
		}
	}
	for _, f := range j.Files {
		s.Files = append(s.Files, File{f.Kind, string(f.Path), f.Digest})
	}
	return s, nil
}
