package extension_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stile/extension"
)

func operator() extension.Config {
	return extension.Config{URL: "https://vpn.example.net/", Name: `Тихая "гавань" </script>`, Language: "ru", Version: "v1.4.2-rc1"}
}

// maxZip bounds what people download, in bytes.
const maxZip = 150 << 10

// download fetches an archive and unpacks it.
func download(t *testing.T, h http.Handler, name string) map[string][]byte {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, extension.Path+name, nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/zip" {
		t.Fatalf("%s: %d %v", name, w.Code, w.Header())
	}
	if w.Body.Len() > maxZip {
		t.Errorf("%s has %d bytes, more than %d", name, w.Body.Len(), maxZip)
	}
	t.Logf("%s: %d bytes", name, w.Body.Len())
	r, err := zip.NewReader(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range r.File {
		part, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(part); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// What is offered has the operator's address, name and language in it.
func TestDownloadsAreTheOperators(t *testing.T) {
	d, err := extension.NewDownloads(operator())
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"chromium", "firefox"} {
		files := download(t, d, "extension-"+target+".zip")
		var m struct {
			Name, Version string
			Action        struct {
				Title string `json:"default_title"`
			}
			Gecko struct {
				Gecko struct{ ID string }
			} `json:"browser_specific_settings"`
		}
		if err := json.Unmarshal(files["manifest.json"], &m); err != nil {
			t.Fatal(err)
		}
		if m.Name != operator().Name || m.Action.Title != operator().Name || m.Version != "1.4.2" {
			t.Errorf("%s: %+v", target, m)
		}
		if want := map[string]string{"chromium": "", "firefox": "stile@vpn.example.net"}[target]; m.Gecko.Gecko.ID != want {
			t.Errorf("%s has the id %q, want %q", target, m.Gecko.Gecko.ID, want)
		}
		settings := strings.TrimSuffix(strings.TrimPrefix(string(files["config.js"]), "export default "), ";\n")
		var s map[string]string
		if err := json.Unmarshal([]byte(settings), &s); err != nil {
			t.Fatal(err)
		}
		if s["api"] != "https://vpn.example.net" || s["name"] != operator().Name || s["language"] != "ru" {
			t.Errorf("%s: %v", target, s)
		}
		for _, name := range []string{"background.js", "popup.html", "popup.js", "options.html", "options.js", "style.css", "icon-on-128.png"} {
			if len(files[name]) == 0 {
				t.Errorf("%s has no %s", target, name)
			}
		}
	}
}

func TestDownloadsAnswerLikeAFile(t *testing.T) {
	d, err := extension.NewDownloads(operator())
	if err != nil {
		t.Fatal(err)
	}
	again, err := extension.NewDownloads(operator())
	if err != nil {
		t.Fatal(err)
	}
	const path = extension.Path + "extension-firefox.zip"
	ask := func(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		h.ServeHTTP(w, r)
		return w
	}
	first := ask(d, http.MethodGet, path)
	if second := ask(again, http.MethodGet, path); !bytes.Equal(first.Body.Bytes(), second.Body.Bytes()) {
		t.Error("the same configuration gives other bytes")
	}
	tag := first.Header().Get("ETag")
	for _, c := range []struct {
		method, path string
		header       []string
		status       int
	}{
		{http.MethodHead, path, nil, http.StatusOK},
		{http.MethodGet, path, []string{"If-None-Match", tag}, http.StatusNotModified},
		{http.MethodGet, path, []string{"Range", "bytes=0-3"}, http.StatusPartialContent},
		{http.MethodPost, path, nil, http.StatusMethodNotAllowed},
		{http.MethodGet, extension.Path, nil, http.StatusNotFound},
		{http.MethodGet, extension.Path + "../etc/passwd", nil, http.StatusNotFound},
		{http.MethodGet, extension.Path + "extension-safari.zip", nil, http.StatusNotFound},
	} {
		if w := ask(d, c.method, c.path, c.header...); w.Code != c.status {
			t.Errorf("%s %s %v: %d, want %d", c.method, c.path, c.header, w.Code, c.status)
		}
	}
	if got := ask(d, http.MethodGet, path, "Range", "bytes=0-3").Body.String(); got != "PK\x03\x04" {
		t.Errorf("the first four bytes are %q", got)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	for field, change := range map[string]func(*extension.Config){
		"URL":      func(c *extension.Config) { c.URL = "vpn.example.net" },
		"Name":     func(c *extension.Config) { c.Name = strings.Repeat("ё", extension.MaxName+1) },
		"Language": func(c *extension.Config) { c.Language = "de" },
	} {
		c := operator()
		change(&c)
		if _, err := extension.NewDownloads(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("a wrong %s: %v", field, err)
		}
	}
	longest := operator()
	longest.Name = strings.Repeat("ё", extension.MaxName)
	if _, err := extension.NewDownloads(longest); err != nil {
		t.Error(err)
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]string{
		"": "0.0.0", "(devel)": "0.0.0", "v1.2.3": "1.2.3", "1.2": "1.2", "v0.0.0-20261125-abc": "0.0.0", "v1.2.3+dirty": "1.2.3", "1.2.3.4.5": "1.2.3.4",
		"01.2": "0.0.0", "123456.1": "0.0.0",
	} {
		c := operator()
		c.Version = version
		files, err := extension.Assemble(nil, extension.Chromium, c)
		if err != nil {
			t.Fatal(err)
		}
		var m struct{ Version string }
		if err := json.Unmarshal(files["manifest.json"], &m); err != nil || m.Version != want {
			t.Errorf("%q becomes %q, want %q (%v)", version, m.Version, want, err)
		}
	}
}
