package extension

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// permissions are what PERMISSIONS.md explains; a test compares them.
var permissions = []string{"alarms", "privacy", "proxy", "storage", "webRequest", "webRequestAuthProvider"}

// Oldest versions: what we use came with them.
const (
	minChromium = "120"
	minFirefox  = "140.0" // data_collection_permissions
)

// policy is the content security policy of the extension's pages. It has to be given: Firefox's own would turn the probe,
// whose address begins with http:// because only the proxy reads it, into https://.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src http: https:"

// manifest writes the manifest of a target (Manifest V3).
func manifest(target Target, c *Config) ([]byte, error) {
	icons := map[string]string{"16": "icon-on-16.png", "32": "icon-on-32.png", "48": "icon-on-48.png", "128": "icon-on-128.png"}
	m := map[string]any{
		"manifest_version": 3,
		"name":             c.Name,
		"description":      descriptions[c.Language],
		"version":          versionOf(c.Version),
		"icons":            icons,
		"action": map[string]any{
			"default_popup": "popup.html", "default_title": c.Name,
			"default_icon": map[string]string{"16": "icon-off-16.png", "32": "icon-off-32.png"},
		},
		"options_ui":              map[string]any{"page": "options.html", "open_in_tab": true},
		"permissions":             permissions,
		"host_permissions":        []string{"<all_urls>"},
		"content_security_policy": map[string]string{"extension_pages": policy},
	}
	switch target {
	case Chromium:
		m["minimum_chrome_version"] = minChromium
		m["background"] = map[string]any{"service_worker": "background.js", "type": "module"}
		// Only to say which other extension holds the proxy, and asked for only then.
		m["optional_permissions"] = []string{"management"}
	case Firefox:
		m["background"] = map[string]any{"scripts": []string{"background.js"}, "type": "module"}
		m["browser_specific_settings"] = map[string]any{"gecko": map[string]any{
			"id": "stile@" + idHost(c.URL), "strict_min_version": minFirefox,
			// The e-mail and the password go to the operator's own server, to sign in.
			"data_collection_permissions": map[string]any{"required": []string{"authenticationInfo"}},
		}}
	}
	return json.MarshalIndent(m, "", "  ")
}

var descriptions = map[string]string{
	"ru": "Весь трафик браузера — через ваш VPN. Одна кнопка, и ничего мимо.",
	"en": "All traffic of this browser through your VPN. One button, and nothing past it.",
}

// versionNumber is what browsers take: up to four numbers.
var versionNumber = regexp.MustCompile(`^v?((0|[1-9]\d{0,4})(\.(0|[1-9]\d{0,4})){0,3})(\D.*)?$`)

func versionOf(version string) string {
	if found := versionNumber.FindStringSubmatch(version); found != nil {
		return found[1]
	}
	return "0.0.0"
}

// idHost is the host of a URL in the letters that an id in Firefox may have.
func idHost(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "localhost"
	}
	return strings.Trim(regexp.MustCompile(`[^a-z0-9.-]+`).ReplaceAllString(strings.ToLower(u.Hostname()), "-"), "-")
}
