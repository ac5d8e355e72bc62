package vpn_test

import (
	"testing"
	"time"

	"stile/vpn"
)

// TestCircumstances: whatever is in the way is said, the first in the order of the API, with words in both languages.
func TestCircumstances(t *testing.T) {
	now := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	// well is a device whose key its node has confirmed.
	well := func() *vpn.Circumstances {
		return &vpn.Circumstances{
			Now: now, User: vpn.User{ID: 1, Status: vpn.UserActive},
			Entitlement: vpn.Entitlement{
				Plan:         vpn.Plan{ID: 1, Tier: 1, DeviceLimit: 2, TrafficLimit: 100, GraceDays: 3},
				Subscription: vpn.Subscription{ExpiresAt: now.AddDate(0, 0, 1), TrafficResetsAt: now.AddDate(0, 0, 1)},
			},
			Devices: 1, Device: &vpn.Device{ID: 6, Platform: vpn.PlatformIOS},
			ServerID: 9, Server: &vpn.ListedServer{
				Server: vpn.Server{ID: 9, Tier: 1, State: vpn.ServerActive, Protocols: []vpn.Protocol{vpn.Shadowsocks}}, Status: vpn.StatusOnline,
			},
			Key: &vpn.Key{ID: 981, Rev: 40}, IsApplied: true,
			Identity: vpn.NodeIdentity{NodeID: 9, JoinedAt: now.AddDate(0, -1, 0), CertifiedUntil: now.AddDate(0, 0, 9)},
			Status:   vpn.NodeStream{NodeID: 9, IsOnline: true, At: now.Add(-time.Second), Applied: 40},
		}
	}
	away := func(c *vpn.Circumstances) { c.Server.Status = vpn.StatusOffline }
	steps := []struct {
		code  vpn.Code
		cause vpn.Cause
		put   func(*vpn.Circumstances)
	}{ // the later ones come first in the order of the API
		{"", "", func(*vpn.Circumstances) {}},
		{"", vpn.CauseNoKey, func(c *vpn.Circumstances) { c.Key = nil }},
		{vpn.CodeKeyPending, vpn.CauseBehind, func(c *vpn.Circumstances) { c.Key, c.IsApplied, c.Status.Applied = &vpn.Key{Rev: 42}, false, 40 }},
		{vpn.CodeKeyPending, vpn.CauseSuspended, func(c *vpn.Circumstances) { c.Key.NotAfter = now }},
		{vpn.CodeKeyPending, vpn.CauseRefused, func(c *vpn.Circumstances) { c.IsRefused = true }},
		{vpn.CodeServerFull, "", func(c *vpn.Circumstances) { c.Key, c.Server.Status = nil, vpn.StatusFull }},
		{vpn.CodeServerOffline, vpn.CauseAway, away},
		{vpn.CodeServerOffline, vpn.CauseCertificate, func(c *vpn.Circumstances) { c.Identity.CertifiedUntil = now }},
		{vpn.CodeServerOffline, vpn.CauseNotJoined, func(c *vpn.Circumstances) { c.Identity.JoinedAt = time.Time{} }},
		{vpn.CodeServerOffline, vpn.CauseRevoked, func(c *vpn.Circumstances) { c.Identity.RevokedAt = now }},
		{vpn.CodeServerOffline, vpn.CauseDrained, func(c *vpn.Circumstances) { c.Server.State = vpn.ServerDrained }},
		{vpn.CodeServerMaintenance, "", func(c *vpn.Circumstances) { c.Server.Status = vpn.StatusMaintenance }},
		{vpn.CodeProtocolUnavailable, "", func(c *vpn.Circumstances) { c.Server.Protocols = nil }},
		{vpn.CodePlanUpgradeRequired, "", func(c *vpn.Circumstances) { c.Server.Tier = 2 }},
		{vpn.CodeServerNotFound, "", func(c *vpn.Circumstances) { c.Server = nil }},
		{vpn.CodeNoDevice, "", func(c *vpn.Circumstances) { c.Devices, c.Device = 0, nil }},
		{vpn.CodeTrafficQuotaExceeded, "", func(c *vpn.Circumstances) { c.Entitlement.Subscription.UsedBytes = 100 }},
		{vpn.CodeSubscriptionExpired, "", func(c *vpn.Circumstances) { c.Entitlement.Subscription.ExpiresAt = now.AddDate(0, 0, -3) }},
		{vpn.CodeSubscriptionRequired, "", func(c *vpn.Circumstances) { c.Entitlement = vpn.Entitlement{} }},
		{vpn.CodeAccountBlocked, "", func(c *vpn.Circumstances) { c.User.Status = vpn.UserBlocked }},
		{vpn.CodeDeviceNotFound, "", func(c *vpn.Circumstances) { c.DeviceID = 7; c.Device = nil }},
		{vpn.CodeDeviceNotFound, vpn.CauseSlots, func(c *vpn.Circumstances) { c.Devices = 5 }},
	}
	piled := well()
	for i, step := range steps {
		alone := well()
		if i > 6 && i < 11 {
			away(alone)
		}
		if step.cause == vpn.CauseSlots {
			alone.DeviceID, alone.Device = 7, nil
		}
		step.put(alone)
		if d := alone.Diagnose(); d.Code != step.code || d.Cause != step.cause {
			t.Errorf("%s %s alone: %+v", step.code, step.cause, d)
		}
		if step.cause != vpn.CauseNoKey { // which the others need
			step.put(piled)
			if d := piled.Diagnose(); d.Code != step.code || d.Cause != step.cause {
				t.Errorf("%s %s before all others: %+v", step.code, step.cause, d)
			}
		}
		words := vpn.Diagnosis{Code: step.code, Cause: step.cause}
		advice := words.Advice()
		if advice.Reason.RU == "" || advice.Reason.EN == "" || (advice.Remedy.EN == "") != (step.code == "") || (advice.Remedy.RU == "") != (advice.Remedy.EN == "") {
			t.Errorf("%s %s has the words %+v", step.code, step.cause, advice)
		}
	}
	d := well().Diagnose()
	if d.KeyID != 981 || d.DeviceID != 6 || d.ServerID != 9 || !d.ConfirmedAt.Equal(now.Add(-time.Second)) || d.IsFull || d.Lag != 0 {
		t.Errorf("a key that works: %+v", d)
	}
	behind := well()
	behind.IsApplied, behind.Status.Applied, behind.Devices = false, 37, 2
	if d := behind.Diagnose(); d.Lag != 3 || !d.ConfirmedAt.IsZero() || !d.IsFull {
		t.Errorf("a node that is behind: %+v", d)
	}
}
