// The vec4 of one lane, as every lane needs it: a vec4 load of 32 rows serves them all.

fn quad0(v: vec4f) -> vec4f { return vec4f(subgroupBroadcast(v.x, 0u), subgroupBroadcast(v.y, 0u), subgroupBroadcast(v.z, 0u), subgroupBroadcast(v.w, 0u)); }
fn quad1(v: vec4f) -> vec4f { return vec4f(subgroupBroadcast(v.x, 1u), subgroupBroadcast(v.y, 1u), subgroupBroadcast(v.z, 1u), subgroupBroadcast(v.w, 1u)); }
fn quad2(v: vec4f) -> vec4f { return vec4f(subgroupBroadcast(v.x, 2u), subgroupBroadcast(v.y, 2u), subgroupBroadcast(v.z, 2u), subgroupBroadcast(v.w, 2u)); }
fn quad3(v: vec4f) -> vec4f { return vec4f(subgroupBroadcast(v.x, 3u), subgroupBroadcast(v.y, 3u), subgroupBroadcast(v.z, 3u), subgroupBroadcast(v.w, 3u)); }
fn quad4(v: vec4f) -> vec4f { return vec4f(subgroupBroadcast(v.x, 4u), subgroupBroadcast(v.y, 4u), subgroupBroadcast(v.z, 4u), subgroupBroadcast(v.w, 4u)); }
fn quad5(v: vec4f) -> vec4f { return vec4f(subgroupBroadcast(v.x, 5u), subgroupBroadcast(v.y, 5u), subgroupBroadcast(v.z, 5u), subgroupBroadcast(v.w, 5u)); }
fn quad6(v: vec4f) -> vec4f { return vec4f(subgroupBroadcast(v.x, 6u), subgroupBroadcast(v.y, 6u), subgroupBroadcast(v.z, 6u), subgroupBroadcast(v.w, 6u)); }
fn quad7(v: vec4f) -> vec4f { return vec4f(subgroupBroadcast(v.x, 7u), subgroupBroadcast(v.y, 7u), subgroupBroadcast(v.z, 7u), subgroupBroadcast(v.w, 7u)); }
