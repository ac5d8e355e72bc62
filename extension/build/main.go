// Command build turns extension/src into extension/dist: it bundles the TypeScript and the styles with esbuild, copies
// the pages and draws the icons. With a directory as its argument it also unpacks there what an operator's server would
// offer, for a browser's "load unpacked". It needs Go alone, and is no part of the program.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"stile/extension"
	"stile/extension/bundle"
)

func main() {
	root := flag.String("root", "extension", "directory of the extension")
	unpack := flag.String("unpack", "", "directory to write a chromium and a firefox directory into")
	api := flag.String("api", "http://127.0.0.1:8000", "address of the API, for -unpack")
	name := flag.String("name", "Stile", "name of the service, for -unpack")
	language := flag.String("language", "ru", "ru or en, for -unpack")
	flag.Parse()
	if err := build(*root, *unpack, extension.Config{URL: *api, Name: *name, Language: *language}); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

// build fills dist anew and, when it is told where, unpacks both extensions.
func build(root, unpack string, c extension.Config) error {
	built, err := bundle.Build(root)
	if err != nil {
		return err
	}
	dist := filepath.Join(root, "dist")
	if err := errors.Join(os.RemoveAll(dist), write(dist, built)); err != nil || unpack == "" {
		return err
	}
	for _, target := range []extension.Target{extension.Chromium, extension.Firefox} {
		files, err := extension.Assemble(built, target, c)
		if err == nil {
			err = write(filepath.Join(unpack, string(target)), files)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write fills a directory.
func write(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // nothing here is secret, and a browser may run as another user
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}
