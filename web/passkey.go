package web

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"stile/vpn"
)

// passkeysPath is the page of the passkeys.
const passkeysPath = "/account/passkeys"

// passkeysPage is where a user adds, renames and removes passkeys.
type passkeysPage struct {
	Passkeys []vpn.Passkey
	// IsOffered tells that browsers can make passkeys for this address.
	IsOffered bool
	Name      string
	// Renaming is the passkey whose form Problem is of; 0 = it is of the form for a new one.
	Renaming int64
	Problem  problem
}

func (s *Site) passkeys(v *visit) error { return s.showPasskeys(v, http.StatusOK, passkeysPage{}) }

func (s *Site) showPasskeys(v *visit, status int, p passkeysPage) (err error) {
	if p.Passkeys, err = s.service.Passkeys(v.r.Context(), v.actor); err != nil {
		return err
	}
	p.IsOffered = s.relyingParty(v) != nil
	return v.page(status, "passkeys", p)
}

// relyingParty is what passkeys are bound to: the host that browsers know the service by. It is nil where they make none:
// without https, unless the host is this machine, and where the host is an address.
func (s *Site) relyingParty(v *visit) *webauthn.WebAuthn {
	origin := s.publicURL
	if origin == "" {
		origin = "http://" + v.r.Host
	}
	u, err := url.Parse(origin)
	if err != nil {
		return nil
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil || (u.Scheme != "https" && host != "localhost") {
		return nil
	}
	party, err := webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: s.service.Settings(v.r.Context()).Brand, RPOrigins: []string{u.Scheme + "://" + u.Host},
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
		AttestationPreference:             protocol.PreferNoAttestation,
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore, // managers of passwords add what nobody asked for
	})
	if err != nil {
		return nil // such as a host that is no domain
	}
	return party
}

// keyHolder is a user as WebAuthn knows one.
type keyHolder struct {
	id   int64
	user *vpn.User
	keys []vpn.Passkey
}

// WebAuthnID is the id of the account, which names nobody.
func (k *keyHolder) WebAuthnID() []byte { return binary.BigEndian.AppendUint64(nil, uint64(k.id)) }

// WebAuthnName is what authenticators show.
func (k *keyHolder) WebAuthnName() string { return k.user.Email }

// WebAuthnDisplayName is the same in words.
func (k *keyHolder) WebAuthnDisplayName() string { return k.user.Name }

// WebAuthnCredentials are the passkeys there are.
func (k *keyHolder) WebAuthnCredentials() []webauthn.Credential {
	all := make([]webauthn.Credential, len(k.keys))
	for i := range k.keys {
		p := &k.keys[i]
		all[i] = webauthn.Credential{
			ID: p.Credential, PublicKey: p.PublicKey, Flags: webauthn.CredentialFlags{UserVerified: true, BackupEligible: p.IsSynced},
			Authenticator: webauthn.Authenticator{SignCount: p.SignCount},
		}
	}
	return all
}

// passkeyOptions answers the password with what a browser makes a passkey by. A refusal is a message.
func (s *Site) passkeyOptions(v *visit) error {
	party := s.relyingParty(v)
	if party == nil {
		return errNoPage
	}
	challenge, kept, err := s.service.BeginPasskey(v.r.Context(), v.actor, v.password("password"), s.address(v.r))
	if err != nil {
		return v.retry(err, func(status int, p problem) error { return v.json(status, map[string]string{"message": p.Text}) })
	}
	user := &keyHolder{id: v.actor.User.ID, user: &v.actor.User, keys: kept}
	options, _, err := party.BeginRegistration(user, webauthn.WithExclusions(webauthn.Credentials(user.WebAuthnCredentials()).CredentialDescriptors()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error { o.Challenge = challenge; return nil })
	if err != nil {
		return err
	}
	return v.json(http.StatusOK, options.Response)
}

// json answers a script.
func (v *visit) json(status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	v.send(status, "application/json", raw)
	return nil
}

// addPasskey keeps the passkey that a browser has made. What was signed proves the password: only the right one is answered
// with a challenge.
func (s *Site) addPasskey(v *visit) error {
	p := passkeysPage{Name: v.form("name")}
	made, challenge, err := s.madePasskey(v)
	if err == nil {
		made.Name = p.Name
		err = s.service.AddPasskey(v.r.Context(), v.actor, challenge, made)
	}
	if err != nil {
		return v.retry(err, func(status int, wrong problem) error {
			p.Problem = wrong
			return s.showPasskeys(v, status, p)
		})
	}
	return v.done(passkeysPath, "passkey_added")
}

// madePasskey verifies a new passkey. Whether its challenge is one of ours, says the service.
func (s *Site) madePasskey(v *visit) (vpn.Passkey, []byte, error) {
	refused := vpn.Refusal(vpn.CodePasskeyInvalid)
	party := s.relyingParty(v)
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(v.r.PostFormValue("credential")))
	if party == nil || err != nil {
		return vpn.Passkey{}, nil, refused
	}
	user := &keyHolder{id: v.actor.User.ID, user: &v.actor.User}
	session := webauthn.SessionData{
		Challenge: parsed.Response.CollectedClientData.Challenge, UserID: user.WebAuthnID(), UserVerification: protocol.VerificationRequired,
		CredParams: webauthn.CredentialParametersDefault(),
	}
	made, err := party.CreateCredential(user, session, parsed)
	if err != nil {
		return vpn.Passkey{}, nil, refused
	}
	challenge, err := base64.RawURLEncoding.DecodeString(session.Challenge)
	if err != nil {
		return vpn.Passkey{}, nil, refused
	}
	return vpn.Passkey{
		Credential: made.ID, PublicKey: made.PublicKey, SignCount: made.Authenticator.SignCount, IsSynced: made.Flags.BackupEligible,
	}, challenge, nil
}

func (s *Site) renamePasskey(v *visit) error {
	id := v.pathID("id")
	if err := s.service.RenamePasskey(v.r.Context(), v.actor, id, v.form("name")); err != nil {
		return v.retry(err, func(status int, p problem) error {
			if status == http.StatusNotFound {
				return err
			}
			return s.showPasskeys(v, status, passkeysPage{Renaming: id, Problem: p})
		})
	}
	return v.done(passkeysPath, "passkey_renamed")
}

func (s *Site) removePasskey(v *visit) error {
	if err := s.service.RemovePasskey(v.r.Context(), v.actor, v.pathID("id")); err != nil {
		return err
	}
	return v.done(passkeysPath, "passkey_removed")
}

// signInOptions are what a browser signs in by a passkey with.
func (s *Site) signInOptions(v *visit) error {
	party := s.relyingParty(v)
	if party == nil {
		return errNoPage
	}
	challenge, err := s.service.BeginPasskeySignIn(s.address(v.r))
	if err != nil {
		return v.retry(err, func(status int, p problem) error { return v.json(status, map[string]string{"message": p.Text}) })
	}
	options, _, err := party.BeginDiscoverableLogin(webauthn.WithChallenge(challenge))
	if err != nil {
		return err
	}
	return v.json(http.StatusOK, options.Response)
}

// signInByPasskey takes what a passkey has signed.
func (s *Site) signInByPasskey(v *visit) error {
	form := s.newSignIn(v)
	form.Next = localPath(v.form("next"), "")
	secret, err := s.usePasskey(v)
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return v.page(status, "signin", form)
		})
	}
	v.begin(secret)
	return v.redirect(localPath(form.Next, "/account"))
}

func (s *Site) usePasskey(v *visit) (string, error) {
	party := s.relyingParty(v)
	in := vpn.PasskeySignIn{Address: s.address(v.r)}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(v.r.PostFormValue("credential")))
	if party != nil && err == nil {
		in.Credential = parsed.RawID
		in.Challenge, err = base64.RawURLEncoding.DecodeString(parsed.Response.CollectedClientData.Challenge)
	}
	if party == nil || err != nil {
		in.Credential, in.Challenge = nil, nil // counted, and refused
	}
	in.Verify = func(p *vpn.Passkey) (uint32, error) {
		session := webauthn.SessionData{
			Challenge: parsed.Response.CollectedClientData.Challenge, UserVerification: protocol.VerificationRequired,
		}
		owner := &keyHolder{id: p.UserID, user: &vpn.User{}, keys: []vpn.Passkey{*p}}
		_, used, err := party.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
			if string(handle) != string(owner.WebAuthnID()) {
				return nil, errors.New("another user's passkey")
			}
			return owner, nil
		}, session, parsed)
		if err != nil {
			return 0, err
		}
		return used.Authenticator.SignCount, nil
	}
	return s.service.SignInPasskey(v.r.Context(), in)
}
