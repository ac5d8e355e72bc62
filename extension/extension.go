// Package extension is the browser extension: one source in TypeScript for Chromium and Firefox, and the handler that
// offers it to the users of a service with the operator's address, name and language in it. What the browsers run is in
// dist, built from src by the command in build and committed, so that the program needs no tool to offer it.
//
// It packs; it neither talks to browsers nor serves the API that the extension calls.
package extension

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed dist
var dist embed.FS

// Target is a kind of browser.
type Target string

// The targets.
const (
	Chromium Target = "chromium"
	Firefox  Target = "firefox"
)

// Config is what an operator's extension is made from.
type Config struct {
	// URL is where the extension reaches the API, such as https://vpn.example.net.
	URL string
	// Name is what the service calls itself, at most MaxName characters.
	Name string
	// Language is shown to those whose browser speaks neither Russian nor English: "ru" or "en".
	Language string
	// Version is that of the program, such as 1.2.3; what is no such number becomes 0.0.0.
	Version string
}

// MaxName bounds the length of a name in characters: stores take no more.
const MaxName = 45

// check names the field that is wrong.
func (c *Config) check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return fmt.Errorf("extension: URL %q is not like https://vpn.example.net", c.URL)
	case c.Name == "" || len([]rune(c.Name)) > MaxName:
		return fmt.Errorf("extension: Name has %d characters, want 1 to %d", len([]rune(c.Name)), MaxName)
	case c.Language != "ru" && c.Language != "en":
		return fmt.Errorf("extension: Language %q is neither ru nor en", c.Language)
	}
	return nil
}

// Built returns what the command in build made, by the names of the files.
func Built() (map[string][]byte, error) {
	files := make(map[string][]byte)
	entries, err := fs.ReadDir(dist, "dist")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if files[entry.Name()], err = fs.ReadFile(dist, path.Join("dist", entry.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Assemble returns the whole extension for a browser: what was built, its manifest and its settings. It fails when a
// field of the configuration is wrong.
func Assemble(built map[string][]byte, target Target, c Config) (map[string][]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(built)+2)
	maps.Copy(files, built)
	var err error
	if files["manifest.json"], err = manifest(target, &c); err != nil {
		return nil, err
	}
	settings, err := json.Marshal(map[string]string{"api": strings.TrimRight(c.URL, "/"), "name": c.Name, "language": c.Language})
	if err != nil {
		return nil, err
	}
	files["config.js"] = []byte("export default " + string(settings) + ";\n")
	return files, nil
}

// packed is an archive with the tag that names its content.
type packed struct {
	content []byte
	tag     string
}

// pack makes the archive of an extension: the same bytes for the same configuration.
func pack(built map[string][]byte, target Target, c Config) (packed, error) {
	files, err := Assemble(built, target, c)
	if err != nil {
		return packed{}, err
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		// A zip's time can't be before 1980, and only a fixed one gives the same bytes each time.
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		part, err := w.CreateHeader(header)
		if err != nil {
			return packed{}, err
		}
		if _, err := part.Write(files[name]); err != nil {
			return packed{}, err
		}
	}
	if err := w.Close(); err != nil {
		return packed{}, err
	}
	sum := sha256.Sum256(b.Bytes())
	return packed{content: b.Bytes(), tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}, nil
}
