package cli_test

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"stile/extension"
)

// serve offers the extension with the operator's own address and name in it.
func TestServeOffersTheExtension(t *testing.T) {
	m := newMachine(t, "", "--brand", "Тихая гавань", "--language", "en")
	for _, name := range []string{"extension-chromium.zip", "extension-firefox.zip"} {
		resp, err := http.Get(m.url + extension.Path + name)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", name, resp.StatusCode, err)
		}
		archive, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		file, err := archive.Open("config.js")
		if err != nil {
			t.Fatal(err)
		}
		settings, _ := io.ReadAll(file)
		for _, want := range []string{`"api":"` + m.url + `"`, `"name":"Тихая гавань"`, `"language":"en"`} {
			if !strings.Contains(string(settings), want) {
				t.Errorf("%s: %s has no %s", name, settings, want)
			}
		}
	}
}
