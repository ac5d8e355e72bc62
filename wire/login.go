package wire

// LoginRequest is the input of POST /api/login. All but ReplaceDeviceID and OTP are required.
type LoginRequest struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	// DeviceID is what the client calls its device; the same again takes no second slot.
	DeviceID   string `json:"device_id"`
	DeviceName string `json:"device_name"`
	// ReplaceDeviceID is our id of a device to sign out when no slot is free; 0 = none.
	ReplaceDeviceID int64 `json:"replace_device_id,omitempty"`
	// OTP is a code of the second factor, or a recovery code; "" = none.
	OTP string `json:"otp,omitempty"`
}

// LoginResponse is the answer of POST /api/login: exactly these two keys.
type LoginResponse struct {
	Token string `json:"token"`
	// DeviceID is our numeric id of the device, as a string.
	DeviceID string `json:"device_id"`
}

// MessageResponse is the answer of calls that only do something.
type MessageResponse struct {
	Message string `json:"message"`
}
