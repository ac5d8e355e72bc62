package extension

import (
	"bytes"
	"net/http"
	"time"
)

// Path is what the paths of Downloads begin with.
const Path = "/downloads/"

// Downloads serves Path + "extension-chromium.zip" and Path + "extension-firefox.zip".
type Downloads struct{ archives map[string]packed }

// NewDownloads packs both extensions. It fails when a field of the configuration is wrong.
func NewDownloads(c Config) (*Downloads, error) {
	built, err := Built()
	if err != nil {
		return nil, err
	}
	d := &Downloads{archives: make(map[string]packed)}
	for _, target := range []Target{Chromium, Firefox} {
		archive, err := pack(built, target, c)
		if err != nil {
			return nil, err
		}
		d.archives[Path+"extension-"+string(target)+".zip"] = archive
	}
	return d, nil
}

// ServeHTTP answers GET and HEAD, ranges, and those who have it already.
func (d *Downloads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	archive, isThere := d.archives[r.URL.Path]
	if !isThere {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="`+r.URL.Path[len(Path):]+`"`)
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", archive.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(archive.content))
}
