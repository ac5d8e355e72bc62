package cli

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// session is what a signed-in command line remembers.
type session struct {
	// API is the base URL.
	API   string `json:"api"`
	Email string `json:"email"`
	// Token signs calls; "" is signed out, and the rest is only what the next sign-in proposes.
	Token string `json:"token,omitempty"`
}

// profile is the directory where the sessions of one person on one machine are kept, readable by nobody else.
type profile string

// openProfile finds the directory: stile under $XDG_CONFIG_HOME or its like on other systems.
func openProfile() (profile, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no place to keep the session: %w", err)
	}
	return profile(filepath.Join(dir, "stile")), nil
}

func (p profile) sessionFile() string { return filepath.Join(string(p), "session.json") }

// session reads what is remembered; nothing is the zero session.
func (p profile) session() (session, error) {
	var s session
	raw, err := os.ReadFile(p.sessionFile())
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil {
		return session{}, fmt.Errorf("the session cannot be read (%w): remove %s and run `stile login`", err, p.sessionFile())
	}
	return s, nil
}

// keep remembers a session.
func (p profile) keep(s session) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return p.write(p.sessionFile(), append(raw, '\n'))
}

// deviceID is what this machine calls itself to every API. It is made once: a sign-in with the same id takes no second
// device slot.
func (p profile) deviceID() (string, error) {
	file := filepath.Join(string(p), "device-id")
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading the id of this device: %w", err)
	}
	if id := strings.TrimSpace(string(raw)); id != "" {
		return id, nil
	}
	id := "stile-" + rand.Text()
	return id, p.write(file, []byte(id+"\n"))
}

// write replaces a file as a whole, readable by its owner only.
func (p profile) write(file string, content []byte) error {
	if err := os.MkdirAll(string(p), 0o700); err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	temporary, err := os.CreateTemp(string(p), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("keeping the session: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}
