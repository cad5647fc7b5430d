// SPDX-License-Identifier: Apache-2.0
// Constants of the protobuf wire format and of the API's envelope.
#pragma once

#include <endian.h>

#include "base/str.h"

enum cor_wire {
	COR_WIRE_VARINT = 0,
	COR_WIRE_FIXED64 = 1,
	COR_WIRE_BYTES = 2,
	COR_WIRE_FIXED32 = 5,
};

#define COR_PROTO_PREFIX COR_STR("k8s\0")
