// Package bundle makes what the browsers run out of the extension's source, with esbuild's Go API. It is used by the
// command that writes extension/dist and by the test that compares; the program itself does not link it.
package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// entries are the parts of the extension, each bundled by itself.
var entries = []string{"background.ts", "popup.ts", "options.ts", "style.css"}

// pages are copied as they are.
var pages = []string{"popup.html", "options.html"}

// Build returns the files of dist by name, made from the extension's directory.
func Build(root string) (map[string][]byte, error) {
	src := filepath.Join(root, "src")
	points := make([]string, len(entries))
	for i, name := range entries {
		points[i] = filepath.Join(src, name)
	}
	result := api.Build(api.BuildOptions{
		EntryPoints: points, Bundle: true, Outdir: "out", Format: api.FormatESModule, Target: api.ES2022, External: []string{"./config.js"},
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, Charset: api.CharsetUTF8, LegalComments: api.LegalCommentsNone,
	})
	if err := failure(result.Errors); err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for _, file := range result.OutputFiles {
		files[filepath.Base(file.Path)] = file.Contents
	}
	for _, name := range pages {
		content, err := os.ReadFile(filepath.Join(src, name))
		if err != nil {
			return nil, err
		}
		files[name] = content
	}
	return files, addIcons(files)
}

// failure is what esbuild complains about, as it would print it.
func failure(messages []api.Message) error {
	if len(messages) == 0 {
		return nil
	}
	return errors.New(strings.Join(api.FormatMessages(messages, api.FormatMessagesOptions{}), ""))
}
