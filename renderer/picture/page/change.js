/* ---- a difference: what has become more, and what less ------------------------------ */

/* {is, was}: shares of the whole, of [after, before]. */
const sharesOf = ([after, before]) =>
  ({is: after / original.parts[0][0], was: before / data.allBefore});

/* From 0, half or less, to data.changes - 1, double or more. */
function changeLevel(parts) {
  const {is, was} = sharesOf(parts);
  const doublings = is === 0 || was === 0 ? Math.sign(is - was) : Math.log2(is / was);
  const middle = (data.changes - 1) / 2;
  return Math.round(middle + middle * Math.max(-1, Math.min(1, doublings)));
}

/* What a group's places have, as far as they brought their own time along. */
function partsOfGroup(group) {
  if (!group.parts) {
    const {total} = weightsNow();
    group.parts = PARTS.map((_, p) => group.at.reduce((sum, place, i) =>
      sum + (total[place] ? group.weights[i] / total[place] : 0) *
        treeNow().parts[p][place], 0));
  }
  return group.parts;
}

function changeOf(parts) {
  const {is, was} = sharesOf(parts);
  return is - was;
}

/* "+1.25 points" */
function points(parts) {
  const by = changeOf(parts) * 100;
  return (by < 0 ? '−' : '+') + Math.abs(by).toFixed(2) + ' points';
}
