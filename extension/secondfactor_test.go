package extension_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"stile/internal/testbrowser"
	"stile/vpn"
)

// secondFactor turns the user's second factor on, and returns its authenticator, Debian's oathtool, and the recovery codes.
func (w *world) secondFactor() (codeIn func(seconds int) string, recovery []string) {
	w.t.Helper()
	path, err := exec.LookPath("oathtool")
	if err != nil {
		w.t.Fatalf("%v: install Debian's package oathtool", err)
	}
	signedIn, err := w.service.SignIn(w.t.Context(), vpn.SignIn{Email: testEmail, Password: testPassword, ClientID: "phone", DeviceName: "Phone"})
	if err != nil {
		w.t.Fatal(err)
	}
	actor, err := w.service.Authenticate(w.t.Context(), signedIn.Token)
	if err == nil {
		err = w.service.BeginSecondFactor(w.t.Context(), actor, testPassword, netip.MustParseAddr("192.0.2.1"))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	factor, err := w.service.SecondFactor(w.t.Context(), actor)
	if err != nil {
		w.t.Fatal(err)
	}
	codeIn = func(seconds int) string {
		out, err := exec.Command(path, "--totp", "--base32", factor.Secret.Text(), "--now", fmt.Sprintf("now + %d seconds", seconds)).CombinedOutput()
		if err != nil {
			w.t.Fatalf("oathtool: %v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if recovery, err = w.service.ConfirmSecondFactor(w.t.Context(), actor, codeIn(0)); err != nil {
		w.t.Fatal(err)
	}
	return codeIn, recovery
}

// types sends a code from the popup's second step.
func (s *story) types(code string) {
	s.t.Helper()
	testbrowser.Value[any](s.t, s.popup, `(() => {
		document.getElementById("otp").value = `+testbrowser.Quote(code)+`;
		document.getElementById("second").requestSubmit();
	})()`)
}

// An account with a second factor is asked for its code: a wrong one is refused in words, a code of the authenticator is taken once,
// and a recovery code makes room on a full plan.
func TestSecondFactorInChromium(t *testing.T) {
	w := newWorld(t)
	asksForACode(w, w.chromium(""))
}

func TestSecondFactorInFirefox(t *testing.T) {
	w := newWorld(t)
	asksForACode(w, w.firefox())
}

func asksForACode(w *world, b testbrowser.Browser) {
	codeIn, recovery := w.secondFactor()
	s := beginStory(w, b)
	s.signIn(testPassword)
	s.shows("code_text", "code of your authenticator app")
	for _, fault := range testbrowser.Faults(w.t, s.popup) {
		w.t.Error(fault)
	}
	s.types("000000")
	s.shows("code_error", "The code is wrong")
	// The code of now is used up by turning the factor on. On a machine so busy that the next one is late, too, another one is made.
	testbrowser.Until(w.t, "the authenticator's code is taken", func() bool {
		s.types(codeIn(30))
		seen := ""
		testbrowser.Until(w.t, "the code is judged", func() bool {
			seen = testbrowser.Value[string](w.t, s.popup, `[...document.querySelectorAll("#status, #code_error")].filter(e => e.checkVisibility()).map(e => e.innerText).join()`)
			return seen != ""
		})
		return seen == "Not protected"
	})
	actor := s.actor()
	s.click("sign_out")
	s.shows("sign_in_button", "Sign in")
	testbrowser.Until(w.t, "the slot is free", func() bool {
		devices, err := s.service.Devices(w.t.Context(), actor)
		return err == nil && len(devices) == 1
	})

	s.signInWith(recovery[0], "Tablet") // with the phone the plan is full
	s.signIn(testPassword)
	s.shows("code_text", "code of your authenticator app")
	s.types(recovery[1])
	s.shows("device_list", "Tablet")
	testbrowser.Value[any](w.t, s.popup, `[...document.querySelectorAll("#device_list label")].find(l => l.innerText.includes("Tablet")).click()`)
	testbrowser.Value[any](w.t, s.popup, `document.getElementById("replace").requestSubmit()`)
	s.shows("code_text", "A code works once")
	s.types(recovery[2])
	s.shows("status", "Not protected")
	devices, err := s.service.Devices(w.t.Context(), s.actor())
	if err != nil || len(devices) != 2 || devices[0].Name == "Tablet" || devices[1].Name == "Tablet" {
		w.t.Errorf("the devices are %+v, %v", devices, err)
	}
	if kept := testbrowser.Value[string](w.t, s.popup, `JSON.stringify(await chrome.storage.local.get())`); strings.Contains(kept, recovery[2]) || strings.Contains(kept, testPassword) {
		w.t.Errorf("what was typed is kept: %s", kept)
	}
}

// signInWith takes a device slot, as another client would; code is that of a second factor, if there is one.
func (w *world) signInWith(code, name string) {
	w.t.Helper()
	_, err := w.service.SignIn(w.t.Context(), vpn.SignIn{Email: testEmail, Password: testPassword, Code: code, ClientID: name, DeviceName: name})
	if err != nil {
		w.t.Fatal(err)
	}
}
