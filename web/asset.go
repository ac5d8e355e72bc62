package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// What is bundled from ui/ by `go test ./web -run TestBundle -update`.
//
//go:embed dist
var assetFiles embed.FS

// assetTypes are the content types by the end of a file's name.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// asset is one file as it is served.
type asset struct {
	contentType   string
	plain, zipped []byte
}

// assets are the files below /assets. Their names hold a hash of what is in them, so browsers may keep them for good.
type assets struct {
	byName map[string]asset  // by the name with the hash
	names  map[string]string // by the name without
}

func loadAssets() (*assets, error) {
	a := &assets{byName: map[string]asset{}, names: map[string]string{}}
	err := fs.WalkDir(assetFiles, "dist", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		plain, err := assetFiles.ReadFile(file)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err == nil {
			_, err = z.Write(plain)
			err = errors.Join(err, z.Close())
		}
		sum := sha256.Sum256(plain)
		name, end := path.Base(file), path.Ext(file)
		hashed := strings.TrimSuffix(name, end) + "-" + hex.EncodeToString(sum[:8]) + end
		a.names[name] = hashed
		a.byName[hashed] = asset{contentType: assetTypes[end], plain: plain, zipped: b.Bytes()}
		return err
	})
	return a, err
}

// path returns where a file is served.
func (a *assets) path(name string) string { return "/assets/" + a.names[name] }

// asset serves a file of ours.
func (s *Site) asset(v *visit) error {
	file, ok := s.assets.byName[v.r.PathValue("name")]
	if !ok {
		return errNoPage
	}
	h := v.w.Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", file.contentType)
	h.Set("Vary", "Accept-Encoding")
	body := file.plain
	if takesGzip(v.r) {
		h.Set("Content-Encoding", "gzip")
		body = file.zipped
	}
	v.status = http.StatusOK
	http.ServeContent(v.w, v.r, "", time.Time{}, bytes.NewReader(body))
	return nil
}
