package web

import (
	"testing"

	"stile/internal/locale"
)

// Every page can be made in every language: a service makes one when it is first asked for.
func TestPagesAreWellFormed(t *testing.T) {
	p := must(findPages(must(loadTexts())(t), must(loadAssets())(t)))(t)
	for _, l := range locale.All() {
		if len(p.by[l]) < 30 {
			t.Errorf("%s: %d pages", l, len(p.by[l]))
		}
		for name := range p.by[l] {
			if _, err := p.page(l, name); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := p.page(locale.All()[0], "no such page"); err == nil {
		t.Error("a page that is not there")
	}
}
