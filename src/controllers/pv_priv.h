// SPDX-License-Identifier: Apache-2.0
// What pv_claim.c, pv_volume.c and pv_match.c share.
#pragma once

#include "codec/quantity.h"
#include "controllers/pods.h"
#include "controllers/volumes.h"
#include "gen/core_v1.h"
#include "gen/storage_v1.h"

struct cor_quantity pv_request(const struct core_v1_PersistentVolumeClaim *c);
struct cor_quantity pv_capacity(const struct core_v1_PersistentVolume *pv);
/* Why the volume cannot serve the claim, in the words of the event; NULL = it can. */
const char *pv_mismatch(const struct core_v1_PersistentVolume *pv, const struct core_v1_PersistentVolumeClaim *c);
/* The volume's claimRef names this claim (and no other one of that name). */
bool pv_claimed_by(const struct core_v1_PersistentVolume *pv, const struct core_v1_PersistentVolumeClaim *c);
/* only_claimed: as long as binding waits for a consumer. */
const struct core_v1_PersistentVolume *pv_find(struct cor_plan *p, const struct core_v1_PersistentVolumeClaim *c,
	bool only_claimed);
