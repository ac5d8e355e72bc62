package testbrowser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// firefoxTab is a tab of Firefox.
type firefoxTab struct {
	f       *Firefox
	context string

	mu sync.Mutex
	// wanted is the page that Load waits for; isOver once it is there or has failed, and then came says which. What else happens in
	// the tab does not count: the extension may load again what was there before, and Firefox gives one the other's number.
	wanted       string
	isOver, came bool
}

// hear follows the navigations of all tabs.
func (f *Firefox) hear(e event) {
	var moved struct{ Context, Navigation, URL string }
	if err := json.Unmarshal(e.Params, &moved); err != nil || moved.Navigation == "" {
		return
	}
	f.mu.Lock()
	p := f.tabs[moved.Context]
	f.mu.Unlock()
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	page, isFailure := failed(moved.URL)
	if page != p.wanted {
		return
	}
	switch e.Method {
	case "browsingContext.navigationStarted":
		p.isOver = false
	case "browsingContext.navigationCommitted", "browsingContext.navigationFailed", "browsingContext.navigationAborted":
		if !p.isOver { // the page about a failure is committed, too
			p.isOver, p.came = true, e.Method == "browsingContext.navigationCommitted" && !isFailure
		}
	}
}

// failed returns the page that Firefox's page about a failure is about, or the page itself.
func failed(page string) (string, bool) {
	_, query, isFailure := strings.Cut(page, "about:neterror?")
	if !isFailure {
		return page, false
	}
	values, _ := url.ParseQuery(query) // what cannot be read is no page that anybody waits for
	return values.Get("u"), true
}

// withPath is a page as Firefox calls it in its events: a host alone has the path "/".
func withPath(page string) string {
	if u, err := url.Parse(page); err == nil && u.Host != "" && u.Path == "" {
		u.Path = "/"
		return u.String()
	}
	return page
}

// Load implements Page. The extension may load the tab again meanwhile: then it is that page that counts.
func (p *firefoxTab) Load(url string) bool {
	p.f.t.Helper()
	p.mu.Lock()
	p.wanted, p.isOver = withPath(url), false
	p.mu.Unlock()
	for {
		err := p.f.rc.call(p.f.t.Context(), "", "browsingContext.navigate", map[string]any{"context": p.context, "url": url, "wait": "none"}, nil)
		if err == nil {
			break
		}
		// Aborted is what the extension loads again just then. Without one, it is an answer without a page, such as 204.
		if !p.f.isExtended || !strings.Contains(err.Error(), "NS_BINDING_ABORTED") {
			return false // it failed at once
		}
	}
	var came bool
	Until(p.f.t, url+" is there or has failed", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		came = p.came
		return p.isOver
	})
	if came {
		Until(p.f.t, url+" is complete", func() bool {
			raw, err := p.Eval(`document.readyState === "complete"`)
			return err == nil && string(raw) == "true"
		})
	}
	return came
}

// Eval implements Page.
func (p *firefoxTab) Eval(expression string) (json.RawMessage, error) {
	var done struct {
		Type   string `json:"type"`
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	err := p.f.rc.call(p.f.t.Context(), "", "script.evaluate", map[string]any{
		"expression": asText(expression), "awaitPromise": true, "userActivation": true, "target": map[string]any{"context": p.context},
	}, &done)
	if err == nil && done.Type == "exception" {
		err = fmt.Errorf("%s", done.ExceptionDetails)
	}
	return json.RawMessage(done.Result.Value), err
}

// Shot implements Page.
func (p *firefoxTab) Shot() []byte {
	p.f.t.Helper()
	var taken struct {
		Data string `json:"data"`
	}
	p.f.call("browsingContext.captureScreenshot", map[string]any{"context": p.context}, &taken)
	raw, err := base64.StdEncoding.DecodeString(taken.Data)
	if err != nil {
		p.f.t.Fatal(err)
	}
	return raw
}

var (
	_ Page    = (*Tab)(nil)
	_ Page    = (*firefoxTab)(nil)
	_ Browser = (*Chromium)(nil)
	_ Browser = (*Firefox)(nil)
)
