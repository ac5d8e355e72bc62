package testbrowser

import "encoding/json"

// Answer lets the tab answer from now on with these credentials whenever a proxy or a site asks for some.
func (p *Tab) Answer(username, password string) {
	p.t.Helper()
	p.mu.Lock()
	p.username, p.password = username, password
	p.mu.Unlock()
	p.Call("Fetch.enable", map[string]any{"handleAuthRequests": true}, nil)
}

// Challenges is how often the tab was asked for credentials since the first Answer.
func (p *Tab) Challenges() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.challenges
}

// unpause lets go on what Answer makes the browser hold: every request, and every challenge.
func (p *Tab) unpause(e event) {
	var held struct {
		RequestID string `json:"requestId"`
	}
	if err := json.Unmarshal(e.Params, &held); err != nil {
		return
	}
	method, params := "Fetch.continueRequest", map[string]any{"requestId": held.RequestID}
	if e.Method == "Fetch.authRequired" {
		p.mu.Lock()
		p.challenges++
		method, params["authChallengeResponse"] = "Fetch.continueWithAuth", map[string]any{
			"response": "ProvideCredentials", "username": p.username, "password": p.password,
		}
		p.mu.Unlock()
	}
	// What can't be sent is a browser that is gone, and the call that waits for this request says so.
	_ = p.c.rc.send(p.session, method, params, nil)
}
