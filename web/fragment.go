package web

import (
	"bytes"
	"fmt"
	"html/template"
	"sync"

	"stile/internal/locale"
	"stile/vpn"
)

// maxFragments bounds the kept fragments; beyond it all are made anew.
const maxFragments = 128

// fragments keep long parts of pages that are the same for many visitors: lists of 1,000 servers, the calls of the API.
type fragments struct {
	mu   sync.Mutex
	kept map[fragmentKey]template.HTML
}

// fragmentKey is all that a fragment depends on.
type fragmentKey struct {
	name string // of the template
	lang locale.Lang
	view *vpn.View // a snapshot that never changes, nil where there is none
	base string    // where the service is, "" where it does not matter
	// reading is the number of what is shown live, 0 where nothing is.
	reading uint64
	skip    int // of a list, how many are on pages before
}

// fragment returns a part of a page, made by the template of its name.
func (v *visit) fragment(page string, key fragmentKey, data any) (template.HTML, error) {
	key.lang = v.lang
	f := &v.site.fragments
	f.mu.Lock()
	kept, isKept := f.kept[key]
	f.mu.Unlock()
	if isKept {
		return kept, nil
	}
	templates, err := v.site.pages.page(v.lang, page)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, key.name, data); err != nil {
		return "", fmt.Errorf("web: %s: %w", key.name, err)
	}
	made := template.HTML(b.String()) //nolint:gosec // made by a template, which escapes
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil || len(f.kept) >= maxFragments {
		f.kept = make(map[fragmentKey]template.HTML)
	}
	f.kept[key] = made
	return made, nil
}
