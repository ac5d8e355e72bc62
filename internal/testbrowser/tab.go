package testbrowser

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Tab is a tab of Chromium.
type Tab struct {
	t       testing.TB
	c       *Chromium
	session string

	mu                 sync.Mutex
	said               []string
	username, password string // of Answer
	challenges         int
}

// Call sends a command of the DevTools protocol to the tab. result may be nil.
func (p *Tab) Call(method string, params map[string]any, result any) {
	p.t.Helper()
	if err := p.c.rc.call(p.t.Context(), p.session, method, params, result); err != nil {
		p.t.Fatal(err)
	}
}

// hear lets held requests go on, and keeps what the console complains of: errors, warnings and what the browser itself reports.
func (p *Tab) hear(e event) {
	if e.Method == "Fetch.requestPaused" || e.Method == "Fetch.authRequired" {
		p.unpause(e)
		return
	}
	var said struct {
		Type  string `json:"type"`
		Args  []struct{ Value any }
		Entry struct{ Level, Text string }
		// ExceptionDetails is a script's failure that nobody caught.
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := json.Unmarshal(e.Params, &said); err != nil {
		return
	}
	var text string
	switch {
	case e.Method == "Runtime.consoleAPICalled" && (said.Type == "error" || said.Type == "warning" || said.Type == "assert"):
		text = said.Type + ": " + fmt.Sprint(said.Args)
	case e.Method == "Runtime.exceptionThrown":
		text = "exception: " + said.ExceptionDetails.Text + " " + said.ExceptionDetails.Exception.Description
	case e.Method == "Log.entryAdded" && (said.Entry.Level == "error" || said.Entry.Level == "warning"):
		text = said.Entry.Level + ": " + said.Entry.Text
	default:
		return
	}
	p.mu.Lock()
	p.said = append(p.said, text)
	p.mu.Unlock()
}

// Complaints returns what the console complained of, and forgets it.
func (p *Tab) Complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := p.said
	p.said = nil
	return said
}

// Resize makes the tab as large, in CSS pixels.
func (p *Tab) Resize(width, height, scale int) {
	p.t.Helper()
	p.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": scale, "mobile": false}, nil)
}

// Load implements Page.
func (p *Tab) Load(url string) bool {
	p.t.Helper()
	var gone struct{ ErrorText string }
	p.Call("Page.navigate", map[string]any{"url": url}, &gone)
	if !p.Holds(`document.readyState === "complete"`) {
		p.t.Fatalf("%s is never complete", url)
	}
	return gone.ErrorText == ""
}

// Eval implements Page.
func (p *Tab) Eval(expression string) (json.RawMessage, error) {
	return p.eval(p.t.Context(), expression)
}

func (p *Tab) eval(ctx context.Context, expression string) (json.RawMessage, error) {
	var done struct {
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	err := p.c.rc.call(ctx, p.session, "Runtime.evaluate", map[string]any{
		"expression": asText(expression), "awaitPromise": true, "returnByValue": true, "userGesture": true,
	}, &done)
	if err == nil && done.ExceptionDetails != nil {
		err = fmt.Errorf("%s", done.ExceptionDetails)
	}
	return json.RawMessage(done.Result.Value), err
}

// askTime bounds one question that is asked again: a document that is left takes the answer with it.
const askTime = 5 * time.Second

// Holds waits until a condition of the page holds, and reports whether it came to that. It may be asked while the page is left.
func (p *Tab) Holds(condition string) bool {
	ask := func() bool {
		ctx, cancel := context.WithTimeout(p.t.Context(), askTime)
		defer cancel()
		raw, err := p.eval(ctx, condition)
		return err == nil && string(raw) == "true"
	}
	for deadline := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		if ask() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// Press clicks with the mouse in the middle of an element, once that is there and still.
func (p *Tab) Press(selector string) {
	p.t.Helper()
	var at struct{ X, Y float64 }
	Until(p.t, selector+" can be pressed", func() bool {
		raw, err := p.Eval(`(async () => {
			const e = document.querySelector(` + Quote(selector) + `);
			if (!e?.checkVisibility({ visibilityProperty: true })) return null;
			e.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
			const a = e.getBoundingClientRect();
			await new Promise(requestAnimationFrame);
			const b = e.getBoundingClientRect();
			const [x, y] = [b.x + b.width / 2, b.y + b.height / 2];
			const top = document.elementFromPoint(x, y);
			return a.x === b.x && a.y === b.y && (e.contains(top) || top?.contains(e)) ? { x, y } : null;
		})()`)
		return err == nil && string(raw) != "null" && json.Unmarshal(raw, &at) == nil
	})
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		p.Call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// Follow presses what leads to another page, and waits for that.
func (p *Tab) Follow(selector string) {
	p.t.Helper()
	Value[any](p.t, p, `(() => { window.isLeft = true; })()`)
	p.Press(selector)
	if !p.Holds(`window.isLeft === undefined && document.readyState === "complete"`) {
		p.t.Fatalf("%s leads nowhere", selector)
	}
}

// Fill types a text into a field in place of what is there.
func (p *Tab) Fill(selector, text string) {
	p.t.Helper()
	Until(p.t, selector+" is there", func() bool {
		return Value[bool](p.t, p, `(() => {
			const e = document.querySelector(`+Quote(selector)+`);
			if (!e) return false;
			e.focus();
			e.select();
			return document.activeElement === e;
		})()`)
	})
	if text == "" {
		p.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Backspace", "windowsVirtualKeyCode": 8}, nil)
		return
	}
	p.Call("Input.insertText", map[string]any{"text": text}, nil)
}

// Choose takes an option of a select.
func (p *Tab) Choose(selector, value string) {
	p.t.Helper()
	if got := Value[string](p.t, p, `(() => {
		const e = document.querySelector(`+Quote(selector)+`);
		e.value = `+Quote(value)+`;
		for (const type of ["input", "change"]) e.dispatchEvent(new Event(type, { bubbles: true }));
		return e.value;
	})()`); got != value {
		p.t.Fatalf("%s has no option %q", selector, value)
	}
}

// Shot implements Page.
func (p *Tab) Shot() []byte {
	p.t.Helper()
	return p.shot(map[string]any{"format": "png"})
}

// WholeShot is the whole page as PNG, also what is below the window.
func (p *Tab) WholeShot() []byte {
	p.t.Helper()
	var size struct {
		CSSContentSize struct{ Width, Height float64 } `json:"cssContentSize"`
	}
	p.Call("Page.getLayoutMetrics", map[string]any{}, &size)
	clip := map[string]any{"x": 0, "y": 0, "width": size.CSSContentSize.Width, "height": size.CSSContentSize.Height, "scale": 1}
	return p.shot(map[string]any{"format": "png", "captureBeyondViewport": true, "clip": clip})
}

func (p *Tab) shot(params map[string]any) []byte {
	p.t.Helper()
	var taken struct {
		Data string `json:"data"`
	}
	p.Call("Page.captureScreenshot", params, &taken)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(taken.Data))
	if err != nil {
		p.t.Fatal(err)
	}
	return raw
}
