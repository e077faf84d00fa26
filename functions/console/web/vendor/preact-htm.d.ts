// What the console uses of preact-htm.js. An element is whatever `html` gives.
export type Element = any;
export function html(strings: TemplateStringsArray, ...values: any[]): Element;
export function render(element: Element, into: HTMLElement): void;
export function useState<T>(initial: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
export function useEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useLayoutEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useRef<T>(initial: T): { current: T };
export function useMemo<T>(make: () => T, inputs: readonly unknown[]): T;
export function useErrorBoundary(report?: (error: any) => void): [any, () => void];
