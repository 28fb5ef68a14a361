import { benchBadDocuments } from './bad-documents.ts';
import { inTurn } from './benchmark.ts';
import { benchRotations } from './rotations.ts';
import { benchStages } from './stages.ts';
import { benchUnchanged } from './unchanged.ts';
import { benchWholeLooks } from './whole-looks.ts';

/** What a Secret costs when it is rotated, when it does not change, when it is large, and when it is malformed. */
export const benchCredentials = inTurn(
  benchRotations,
  benchUnchanged,
  benchStages,
  benchWholeLooks,
  benchBadDocuments,
);
