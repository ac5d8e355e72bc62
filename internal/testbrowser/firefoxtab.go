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
	// wanted is the page that Load waits for; came once it is there. What else happens in the tab does not count: the extension may load
	// again what was there before, and Firefox gives one the other's number.
	wanted string
	came   bool
}

// hear follows the pages of all tabs. A page that fails is told by the answer to the call that wanted it, and only there: the event
// may be that of an attempt before.
func (f *Firefox) hear(e event) {
	var moved struct{ Context, Navigation, URL string }
	if e.Method != "browsingContext.navigationCommitted" || json.Unmarshal(e.Params, &moved) != nil || moved.Navigation == "" {
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
	if moved.URL == p.wanted { // not the page about its failure
		p.came = true
	}
}

// withPath is a page as Firefox calls it in its events: a host alone has the path "/".
func withPath(page string) string {
	if u, err := url.Parse(page); err == nil && u.Host != "" && u.Path == "" {
		u.Path = "/"
		return u.String()
	}
	return page
}

// Load implements Page. The extension may load the tab again meanwhile, which aborts what was asked for: then it is asked for again.
func (p *firefoxTab) Load(url string) bool {
	p.f.t.Helper()
	p.mu.Lock()
	p.wanted, p.came = withPath(url), false
	p.mu.Unlock()
	for {
		err := p.f.rc.call(p.f.t.Context(), "", "browsingContext.navigate", map[string]any{"context": p.context, "url": url, "wait": "none"}, nil)
		if err == nil {
			break
		}
		// Without an extension, what is aborted is an answer without a page, such as 204.
		if !p.f.isExtended || !strings.Contains(err.Error(), "NS_BINDING_ABORTED") {
			return false
		}
	}
	Until(p.f.t, url+" is there", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.came
	})
	Until(p.f.t, url+" is complete", func() bool {
		raw, err := p.Eval(`document.readyState === "complete"`)
		return err == nil && string(raw) == "true"
	})
	return true
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
