import type { IContainer } from 'kubernetes-models/v1/Container';

/** The bytes of memory that a container may have; the manifests use one form of the quantity. */
export function memoryLimit({ resources }: IContainer): number {
  const quantity = String(resources?.limits?.memory);
  const [, mebibytes] = /^(\d+)Mi$/.exec(quantity) ?? [];
  if (mebibytes === undefined) throw new Error(`${quantity} is not in the form 64Mi`);
  return Number(mebibytes) * 2 ** 20;
}
